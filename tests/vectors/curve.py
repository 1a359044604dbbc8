"""edwards25519 in plain integer arithmetic: enough to verify strictly and to run SPAKE2.

Nothing here is constant-time. It only ever sees the secrets of published test vectors. Results are
remembered, because the self-test asks the same thing many times.
"""

import functools
import hashlib

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
SQRT_MINUS_ONE = pow(2, (P - 1) // 4, P)

# x, y, z and x*y/z: with these four, one formula adds any two points.
Point = tuple[int, int, int, int]
IDENTITY: Point = (0, 1, 1, 0)


def add(p: Point, q: Point) -> Point:
    """The sum of two points; complete, so it also doubles."""
    a = (p[1] - p[0]) * (q[1] - q[0]) % P
    b = (p[1] + p[0]) * (q[1] + q[0]) % P
    c = 2 * p[3] * q[3] * D % P
    d = 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def negate(p: Point) -> Point:
    """The point that adds up to nothing with this one."""
    return (-p[0] % P, p[1], p[2], -p[3] % P)


def multiply(scalar: int, p: Point) -> Point:
    """`scalar` times a point, by doubling and adding."""
    result = IDENTITY
    while scalar > 0:
        if scalar & 1:
            result = add(result, p)
        p = add(p, p)
        scalar >>= 1
    return result


def equal(p: Point, q: Point) -> bool:
    """Whether two points are the same, whatever their z."""
    return (p[0] * q[2] - q[0] * p[2]) % P == 0 and (p[1] * q[2] - q[1] * p[2]) % P == 0


def compress(p: Point) -> bytes:
    """32 bytes: y little-endian, the lowest bit of x in the highest bit."""
    inverse = pow(p[2], -1, P)
    x, y = p[0] * inverse % P, p[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def decompress(data: bytes) -> Point | None:
    """The point of a canonical encoding; None if there is none."""
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number & (2**255 - 1)
    if len(data) != 32 or y >= P:
        return None
    x_squared = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(x_squared, (P + 3) // 8, P)
    if (x * x - x_squared) % P != 0:
        x = x * SQRT_MINUS_ONE % P
    if (x * x - x_squared) % P != 0:
        return None
    if x == 0 and sign == 1:
        return None
    if x & 1 != sign:
        x = P - x
    return (x, y, 1, x * y % P)


def is_small_order(p: Point) -> bool:
    """Whether eight times the point is nothing."""
    return equal(multiply(8, p), IDENTITY)


def _base_point() -> Point:
    point = decompress((4 * pow(5, -1, P) % P).to_bytes(32, "little"))
    assert point is not None
    return point


BASE = _base_point()


@functools.cache
def sound_point(data: bytes) -> Point | None:
    """A point that section 2.1 lets through as a key or as R; None for every other encoding."""
    point = decompress(data)
    return None if point is None or is_small_order(point) else point


@functools.cache
def public_key(seed: bytes) -> bytes:
    """The Ed25519 public key of a seed."""
    return compress(multiply(_secret_scalar(seed)[0], BASE))


@functools.cache
def sign(seed: bytes, message: bytes) -> bytes:
    """The one Ed25519 signature that this seed makes of a message."""
    scalar, prefix = _secret_scalar(seed)
    key = compress(multiply(scalar, BASE))
    r = _hash_to_scalar(prefix + message)
    big_r = compress(multiply(r, BASE))
    s = (r + _hash_to_scalar(big_r + key + message) * scalar) % ORDER
    return big_r + s.to_bytes(32, "little")


@functools.cache
def verify_strict(key: bytes, message: bytes, signature: bytes) -> bool:
    """Section 2.1: s below the order, R and key not of small order, no cofactor in the equation."""
    point, big_r = sound_point(key), sound_point(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if point is None or big_r is None or len(signature) != 64 or s >= ORDER:
        return False
    k = _hash_to_scalar(signature[:32] + key + message)
    return equal(multiply(s, BASE), add(big_r, multiply(k, point)))


def _secret_scalar(seed: bytes) -> tuple[int, bytes]:
    expanded = hashlib.sha512(seed).digest()
    number = int.from_bytes(expanded[:32], "little")
    number &= (1 << 254) - 8
    return number | 1 << 254, expanded[32:]


def _hash_to_scalar(data: bytes) -> int:
    return int.from_bytes(hashlib.sha512(data).digest(), "little") % ORDER
