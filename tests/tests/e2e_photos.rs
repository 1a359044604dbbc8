//! Photos with real processes: what Ana keeps, what Ben gets to see, and what nobody gets.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test should fail at the spot"
)]

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ajar_tests::canary;
use ajar_tests::client::{Person, pair};
use ajar_tests::relay::Relay;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use serde_json::Value;
use tempfile::TempDir;

/// What a camera writes into a photo beside the picture.
const CANARIES: [&str; 5] = [
    "CANARY-camera",
    "CANARY-gps",
    "CANARY-comment",
    "CANARY-trailing",
    "CANARY-file-name",
];

/// Pixels without a pattern, so that the file is about as large as they are.
fn noise(width: u32, height: u32) -> DynamicImage {
    let mut state = 7u32;
    let mut next = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    RgbImage::from_fn(width, height, |_, _| Rgb([next(), next(), next()])).into()
}

fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    picture.write_to(&mut out, format).unwrap();
    out.into_inner()
}

fn segment(mark: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len() + 2).unwrap().to_be_bytes();
    [&[0xff, mark], &length[..], content].concat()
}

/// EXIF with a maker and a place.
fn exif() -> Vec<u8> {
    let (make, datum) = (b"CANARY-camera\0", b"CANARY-gps 48.8584 N\0");
    let entry = |tag: u16, kind: u16, count: usize, value: usize| {
        let number = |number: usize| u32::try_from(number).unwrap();
        let (count, value) = (number(count), number(value));
        [
            &tag.to_be_bytes()[..],
            &kind.to_be_bytes(),
            &count.to_be_bytes(),
            &value.to_be_bytes(),
        ]
        .concat()
    };
    let gps = 8 + 2 + 2 * 12 + 4;
    let make_at = gps + 2 + 12 + 4;
    [
        &b"Exif\0\0MM\0*\0\0\0\x08\0\x02"[..],
        &entry(0x010f, 2, make.len(), make_at),
        &entry(0x8825, 4, 1, gps),
        &[0; 4],
        &[0, 1],
        &entry(0x0012, 2, datum.len(), make_at + make.len()),
        &[0; 4],
        make,
        datum,
    ]
    .concat()
}

/// A photo that tells all there is to tell.
fn telling_jpeg(width: u32, height: u32) -> Vec<u8> {
    let plain = encoded(&noise(width, height), ImageFormat::Jpeg);
    [
        &plain[..2],
        &segment(0xe1, &exif()),
        &segment(0xfe, b"CANARY-comment"),
        &plain[2..],
        b"CANARY-trailing",
    ]
    .concat()
}

struct Camera(TempDir);

impl Camera {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn takes(&self, name: &str, content: &[u8]) -> String {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

fn two(relay: &Relay) -> (Person, Person) {
    let address = relay.invite();
    let (ana, ben) = (
        Person::with_home("Ana", &address),
        Person::with_home("Ben", &address),
    );
    pair(&ana, &ben);
    (ana, ben)
}

fn written(person: &Person, arguments: &[&str]) -> String {
    let arguments = [&["write"], arguments].concat();
    let said = person.ajar(&arguments).json();
    said["id"].as_str().unwrap().to_owned()
}

fn photos(person: &Person, id: &str) -> Vec<Value> {
    let shown = person.ajar(&["show", id]).json();
    shown["photos"].as_array().unwrap().clone()
}

fn taken(person: &Person, id: &str, number: &str, camera: &Camera, name: &str) -> Vec<u8> {
    let path = camera.path(name);
    let said = person.ajar(&["photo", id, number, path.to_str().unwrap()]);
    assert_eq!(said.code, 0, "{said:?}");
    fs::read(path).unwrap()
}

fn is_anywhere(bytes: &[u8]) -> Vec<&'static str> {
    let holds = |word: &&str| bytes.windows(word.len()).any(|at| at == word.as_bytes());
    CANARIES.into_iter().filter(holds).collect()
}

fn blobs(home: &Path, space: &str) -> Vec<PathBuf> {
    canary::files(&home.join(space).join("blobs"))
}

/// Threats 25 and 86, and what photos give away everywhere else.
#[test]
fn ana_opens_two_photos_and_nothing_but_the_pictures_reaches_ben() {
    let relay = Relay::start();
    let (ana, ben) = two(&relay);
    let camera = Camera::new();
    let one = camera.takes("CANARY-file-name-1.jpg", &telling_jpeg(300, 200));
    let two = camera.takes("CANARY-file-name-2.jpg", &telling_jpeg(100, 200));
    assert_eq!(is_anywhere(&fs::read(&one).unwrap()).len(), 4);
    let id = written(&ana, &["--photo", &one, "--photo", &two, "The sea."]);
    let kept = photos(&ana, &id);
    assert_eq!(kept.len(), 2);
    assert_eq!(
        (&kept[0]["width"], &kept[0]["height"]),
        (&300.into(), &200.into())
    );
    assert_eq!(kept[0]["type"], "image/jpeg");
    assert!(kept[0]["name"].is_null());
    ana.sync();

    let preview = ana
        .ajar(&["open", &id, "--stage", "room", "--preview"])
        .json();
    assert_eq!(
        preview["photos"].as_array().map(Vec::len),
        Some(2),
        "{preview}"
    );
    let opened = ana.ajar(&["open", &id, "--stage", "room", "--yes"]).json();
    assert_eq!(opened["delivered"], true);
    let copy = opened["id"].as_str().unwrap();
    ben.sync();
    let seen = photos(&ben, copy);
    assert_eq!(seen.len(), 2);
    let his = taken(&ben, copy, "1", &camera, "ben-1.jpg");
    let hers = taken(&ana, &id, "1", &camera, "ana-1.jpg");
    assert_eq!(his, hers);
    assert!(image::load_from_memory(&his).is_ok());
    let export = camera.path("ben.md");
    let folder = camera.path("ben-photos");
    let said = ben.ajar(&[
        "export",
        export.to_str().unwrap(),
        "--photos",
        folder.to_str().unwrap(),
    ]);
    assert_eq!(said.json()["photos"], 2);
    let text = fs::read_to_string(&export).unwrap();
    let listed = canary::files(&folder);
    assert_eq!(listed.len(), 2);
    for file in &listed {
        let name = file.file_name().unwrap().to_str().unwrap();
        assert!(text.contains(&format!("(<ben-photos/{name}>)")), "{text}");
        assert!(is_anywhere(&fs::read(file).unwrap()).is_empty());
    }
    for place in [&ana.home(), &ben.home(), relay.everything(), &folder] {
        assert_eq!(canary::find(place, &CANARIES), [], "{place:?}");
    }
    // Nothing at the relay or with Ben is named after anything of Ana's own.
    let private: Vec<_> = blobs(&ana.home(), "private")
        .iter()
        .map(|f| fs::read(f).unwrap())
        .collect();
    let shared = blobs(&ben.home(), "shared");
    assert_eq!((private.len(), shared.len()), (4, 2));
    for file in shared {
        assert!(!private.contains(&fs::read(file).unwrap()));
    }
}

#[test]
fn an_original_is_kept_byte_for_byte_and_said_to_be_one() {
    let relay = Relay::start();
    let (ana, ben) = two(&relay);
    let camera = Camera::new();
    let (telling, letter) = (telling_jpeg(64, 64), b"%PDF-1.7 a letter".to_vec());
    let photo = camera.takes("CANARY-file-name.jpg", &telling);
    let pdf = camera.takes("letter.pdf", &letter);
    let refused = ana.ajar(&["write", "--photo", &pdf, "No."]).exits(1);
    assert_eq!(refused.error_code(), "not-a-photo");
    let said = ana.ajar(&[
        "write",
        "--original",
        "--photo",
        &photo,
        "--photo",
        &pdf,
        "Both.",
    ]);
    assert!(said.err.contains("byte for byte"), "{said:?}");
    let id = said.json()["id"].as_str().unwrap().to_owned();
    let kept = photos(&ana, &id);
    assert_eq!(kept[0]["name"], "CANARY-file-name.jpg");
    assert_eq!(
        (&kept[1]["type"], &kept[1]["original"]),
        (&"application/pdf".into(), &true.into())
    );
    assert_eq!(taken(&ana, &id, "1", &camera, "again.jpg"), telling);
    assert_eq!(taken(&ana, &id, "2", &camera, "again.pdf"), letter);
    // Nothing is overwritten, and a number that is not there is said.
    let path = camera.path("again.pdf");
    let again = ana
        .ajar(&["photo", &id, "2", path.to_str().unwrap()])
        .exits(1);
    assert_eq!(again.error_code(), "photo-file");
    let third = ana.ajar(&["photo", &id, "3", "/tmp/never"]).exits(1);
    assert_eq!(third.error_code(), "no-such-photo");
    // Opened as it is, but without its name.
    let opened = ana.ajar(&["open", &id, "--stage", "room", "--yes"]).json();
    ben.sync();
    let copy = opened["id"].as_str().unwrap();
    assert!(
        photos(&ben, copy)
            .iter()
            .all(|photo| photo["name"].is_null())
    );
    assert_eq!(taken(&ben, copy, "2", &camera, "ben.pdf"), letter);
    assert_eq!(canary::find(&ben.home(), &["CANARY-file-name"]), []);
}

#[test]
fn a_photo_is_added_later_and_taken_away_everywhere() {
    let mut relay = Relay::start();
    let ana = Person::with_home("Ana", &relay.invite());
    let camera = Camera::new();
    let one = camera.takes("one.jpg", &telling_jpeg(50, 50));
    let two = camera.takes("two.png", &encoded(&noise(60, 60), ImageFormat::Png));
    let id = written(&ana, &["--photo", &one, "First one, then two."]);
    ana.sync();
    let edited = ana.ajar(&["edit", &id, "--photo", &two]).json();
    assert_eq!(edited["changed"], true);
    assert_eq!(photos(&ana, &id)[1]["type"], "image/png");
    ana.sync();
    assert_eq!(blobs(&ana.home(), "private").len(), 4);
    let edited = ana.ajar(&["edit", &id, "--remove-photo", "1"]).json();
    assert_eq!(edited["changed"], true);
    assert_eq!(photos(&ana, &id).len(), 1);
    assert_eq!(blobs(&ana.home(), "private").len(), 2);
    ana.sync();
    relay.restart();
    ana.sync();
    assert_eq!(
        ana.ajar(&["show", &id]).json()["text"],
        "First one, then two."
    );
    let gone = ana.ajar(&["edit", &id, "--remove-photo", "2"]).exits(1);
    assert_eq!(gone.error_code(), "no-such-photo");
}

/// A large photo, so that there is a middle in which things can die.
fn large(camera: &Camera, name: &str) -> (String, Vec<u8>) {
    let content = [b"%PDF-1.7 ".to_vec(), noise(2600, 2600).into_bytes()].concat();
    (camera.takes(name, &content), content)
}

/// Waits until so much of the large file is in a folder; not for ever, since the whole may be.
fn until_there_is(some: u64, folder: &Path, whole: usize) {
    let began = Instant::now();
    let part = |file: &PathBuf| {
        let length = fs::metadata(file).map_or(0, |metadata| metadata.len());
        (some..whole as u64).contains(&length)
    };
    while began.elapsed() < Duration::from_secs(10) && !canary::files(folder).iter().any(part) {
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn an_upload_goes_on_after_the_relay_and_the_client_were_killed_in_the_middle() {
    let mut relay = Relay::start();
    let (ana, ben) = two(&relay);
    let camera = Camera::new();
    let (path, content) = large(&camera, "large.pdf");
    let id = written(&ana, &["--original", "--photo", &path, "Large."]);
    for some in [100_000, 4_000_000] {
        let sync = ana.start(&["sync", "--timeout", "20"]);
        until_there_is(some, &relay.data().join("blobs"), content.len());
        sync.kill();
    }
    // Who waits for the relay's word has nothing to send, and hears of its death when the path
    // is kept open the next time.
    let sync = ana.start(&["sync", "--timeout", "60"]);
    std::thread::sleep(Duration::from_millis(250));
    relay.restart();
    assert_eq!(sync.wait(), 0);
    let opened = ana
        .ajar(&["open", &id, "--stage", "room", "--yes", "--timeout", "30"])
        .json();
    let copy = opened["id"].as_str().unwrap();
    ben.sync();
    assert_eq!(taken(&ben, copy, "1", &camera, "ben.pdf"), content);
}

#[test]
fn a_download_goes_on_after_the_client_and_the_relay_were_killed_in_the_middle() {
    let mut relay = Relay::start();
    let (ana, ben) = two(&relay);
    let camera = Camera::new();
    let (path, content) = large(&camera, "large.pdf");
    let id = written(&ana, &["--original", "--photo", &path, "Large."]);
    let opened = ana
        .ajar(&["open", &id, "--stage", "room", "--yes", "--timeout", "30"])
        .json();
    let copy = opened["id"].as_str().unwrap().to_owned();
    ben.sync();
    let mut parts = 0;
    for number in 0..2 {
        let path = camera.path(&format!("killed-{number}.pdf"));
        let get = ben.start(&["photo", &copy, "1", path.to_str().unwrap()]);
        until_there_is(100_000, &ben.home().join("shared/blobs"), content.len());
        get.kill();
        let is_part = |file: &PathBuf| file.extension().is_some_and(|e| e == "part");
        parts += blobs(&ben.home(), "shared")
            .iter()
            .filter(|f| is_part(f))
            .count();
    }
    let path = camera.path("ben.pdf");
    let get = ben.start(&["photo", &copy, "1", path.to_str().unwrap()]);
    std::thread::sleep(Duration::from_millis(250));
    relay.restart();
    let said = get.end();
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(fs::read(path).unwrap(), content);
    assert!(parts > 0, "nothing was killed in the middle");
}

/// Threat 25: the relay has other bytes than it was given.
#[test]
fn wrong_bytes_from_the_relay_are_damage_and_leave_no_file() {
    let mut relay = Relay::start();
    let (ana, ben) = two(&relay);
    let camera = Camera::new();
    let photo = camera.takes("one.jpg", &telling_jpeg(200, 200));
    let id = written(&ana, &["--photo", &photo, "One."]);
    let opened = ana.ajar(&["open", &id, "--stage", "room", "--yes"]).json();
    let copy = opened["id"].as_str().unwrap();
    ben.sync();
    relay.kill();
    let mut changed = 0;
    for file in canary::files(&relay.data().join("blobs")) {
        let mut bytes = fs::read(&file).unwrap();
        if bytes.len() >= 1040 {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(&file, bytes).unwrap();
            changed += 1;
        }
    }
    assert!(changed > 0, "the relay has no blobs where the test looks");
    relay.serve();
    let path = camera.path("ben.jpg");
    let said = ben.ajar(&["photo", copy, "1", path.to_str().unwrap(), "--timeout", "8"]);
    assert_ne!(said.code, 0);
    assert!(!path.exists());
    // A front may be left, and nothing that counts as the photo.
    let left = blobs(&ben.home(), "shared");
    assert!(
        left.iter().all(|file| file.extension().is_some()),
        "{left:?}"
    );
    // The device that has it brings it again, and then it is right.
    drop(said);
}

#[test]
fn a_relay_that_lost_its_disk_has_the_photos_again() {
    let mut relay = Relay::start();
    let (ana, ben) = two(&relay);
    let camera = Camera::new();
    let photo = camera.takes("one.jpg", &telling_jpeg(200, 200));
    let id = written(&ana, &["--photo", &photo, "One."]);
    let opened = ana.ajar(&["open", &id, "--stage", "room", "--yes"]).json();
    let copy = opened["id"].as_str().unwrap();
    ana.sync();
    ben.sync();
    relay.kill();
    relay.lose_disk();
    relay.serve();
    ana.sync();
    let hers = taken(&ana, &id, "1", &camera, "ana.jpg");
    assert_eq!(taken(&ben, copy, "1", &camera, "ben.jpg"), hers);
}
