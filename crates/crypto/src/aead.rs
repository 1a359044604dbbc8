//! The two AEADs of suite 1, on buffers that are wiped.

use chacha20poly1305::{ChaCha20Poly1305, KeyInit, XChaCha20Poly1305, aead::AeadInOut};
use zeroize::Zeroizing;

use crate::error::NotOpened;

/// Bytes an AEAD adds to its plaintext.
pub(crate) const TAG: usize = 16;
/// Bytes of an XChaCha20-Poly1305 nonce.
pub(crate) const XNONCE: usize = 24;

/// Seals in place with XChaCha20-Poly1305. `buffer` becomes ciphertext ‖ tag.
pub(crate) fn xseal(key: &[u8; 32], nonce: &[u8; XNONCE], aad: &[u8], buffer: &mut Vec<u8>) {
    XChaCha20Poly1305::new(key.into())
        .encrypt_in_place(nonce.into(), aad, buffer)
        .expect("a plaintext of this project is far below 256 GiB");
}

/// Opens ciphertext ‖ tag of XChaCha20-Poly1305.
pub(crate) fn xopen(
    key: &[u8; 32],
    nonce: &[u8; XNONCE],
    aad: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, NotOpened> {
    let mut buffer = Zeroizing::new(sealed.to_vec());
    XChaCha20Poly1305::new(key.into())
        .decrypt_in_place(nonce.into(), aad, &mut *buffer)
        .map_err(|_| NotOpened)?;
    Ok(buffer)
}

/// Seals with ChaCha20-Poly1305 under a nonce that the caller never repeats.
pub(crate) fn seal_counted(
    key: &[u8; 32],
    nonce: &[u8; 12],
    aad: &[u8],
    plaintext: &[u8],
) -> Vec<u8> {
    let mut buffer = Vec::with_capacity(plaintext.len() + TAG);
    buffer.extend_from_slice(plaintext);
    seal_counted_in_place(key, nonce, aad, &mut buffer);
    buffer
}

/// As [`seal_counted`], in place. `buffer` becomes ciphertext ‖ tag.
pub(crate) fn seal_counted_in_place(
    key: &[u8; 32],
    nonce: &[u8; 12],
    aad: &[u8],
    buffer: &mut Vec<u8>,
) {
    ChaCha20Poly1305::new(key.into())
        .encrypt_in_place(nonce.into(), aad, buffer)
        .expect("a plaintext of this project is far below 256 GiB");
}

/// Opens what [`seal_counted`] sealed.
pub(crate) fn open_counted(
    key: &[u8; 32],
    nonce: &[u8; 12],
    aad: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, NotOpened> {
    let mut buffer = Zeroizing::new(sealed.to_vec());
    open_counted_in_place(key, nonce, aad, &mut buffer)?;
    Ok(buffer)
}

/// As [`open_counted`], in place. `buffer` becomes the plaintext.
pub(crate) fn open_counted_in_place(
    key: &[u8; 32],
    nonce: &[u8; 12],
    aad: &[u8],
    buffer: &mut Vec<u8>,
) -> Result<(), NotOpened> {
    ChaCha20Poly1305::new(key.into())
        .decrypt_in_place(nonce.into(), aad, buffer)
        .map_err(|_| NotOpened)
}
