//! A disk in memory that forgets what was not synced, runs full, and fails on demand.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use super::Dice;
use crate::{
    disk::{Disk, DiskFile},
    shared::lock,
};

const SECTOR: usize = 512;

#[derive(Clone, Default)]
pub(super) struct FaultyDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Clone, Default)]
struct State {
    files: Vec<Inode>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    /// Changes of names since the last sync of their folder: the name and what it now is.
    name_changes: Vec<(PathBuf, Option<usize>)>,
    faults: Faults,
    operations: u64,
    image: Option<Arc<Image>>,
    image_at: Option<u64>,
    hook: Option<Hook>,
}

/// Runs at the moment the disk's image is taken, while the disk stands still.
type Hook = Arc<dyn Fn() + Send + Sync>;

/// A disk at the moment of a power failure.
struct Image {
    files: Vec<Inode>,
    durable_names: BTreeMap<PathBuf, usize>,
    name_changes: Vec<(PathBuf, Option<usize>)>,
}

#[derive(Clone, Default)]
struct Faults {
    /// Bytes that may still be written or reserved.
    space: Option<u64>,
    /// The next writes fail after half of their bytes.
    fail_writes: bool,
    /// Syncs of files fail; what they should have kept is then forgotten as if it were clean.
    fail_syncs: bool,
}

#[derive(Clone, Default)]
struct Inode {
    current: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    SetLen(usize),
}

impl Change {
    fn apply(&self, file: &mut Vec<u8>, mut keep: impl FnMut() -> bool) {
        match self {
            Self::SetLen(len) => {
                if keep() {
                    file.resize(*len, 0);
                }
            }
            Self::Write { offset, bytes } => {
                // Sectors reach the disk whole, but in any order.
                let mut at = *offset;
                let mut rest = bytes.as_slice();
                while !rest.is_empty() {
                    let len = (SECTOR - at % SECTOR).min(rest.len());
                    if keep() {
                        if file.len() < at + len {
                            file.resize(at + len, 0);
                        }
                        file[at..at + len].copy_from_slice(&rest[..len]);
                    }
                    at += len;
                    rest = &rest[len..];
                }
            }
        }
    }
}

impl FaultyDisk {
    /// Takes the image of a power failure at the `n`th operation from now, and runs `hook` then.
    pub(super) fn fail_power_at(&self, n: u64, hook: impl Fn() + Send + Sync + 'static) {
        let mut state = lock(&self.state);
        state.image_at = Some(state.operations + n);
        state.hook = Some(Arc::new(hook));
    }

    /// The power fails now.
    pub(super) fn fail_power_now(&self, dice: &mut Dice) -> Self {
        lock(&self.state).take_image();
        self.after_power_failure(dice)
            .expect("an image was just taken")
    }

    /// The disk as found after the failure: what was synced, and by chance some of the rest.
    pub(super) fn after_power_failure(&self, dice: &mut Dice) -> Option<Self> {
        let image = lock(&self.state).image.clone()?;
        let luck = [0, 1, 2, 4][usize::try_from(dice.below(4)).unwrap()];
        let mut keep = || luck > 0 && dice.below(luck + 1) > 0 || luck == 1;
        let mut names = image.durable_names.clone();
        for (name, what) in &image.name_changes {
            if keep() {
                match what {
                    Some(file) => names.insert(name.clone(), *file),
                    None => names.remove(name),
                };
            }
        }
        let files = image
            .files
            .iter()
            .map(|inode| {
                let mut durable = inode.durable.clone();
                for change in &inode.pending {
                    change.apply(&mut durable, &mut keep);
                }
                Inode {
                    current: durable.clone(),
                    durable,
                    pending: Vec::new(),
                }
            })
            .collect();
        let state = State {
            files,
            durable_names: names.clone(),
            names,
            ..State::default()
        };
        Some(Self {
            state: Arc::new(Mutex::new(state)),
        })
    }

    pub(super) fn set_space(&self, bytes: Option<u64>) {
        lock(&self.state).faults.space = bytes;
    }

    pub(super) fn fail_writes(&self, fail: bool) {
        lock(&self.state).faults.fail_writes = fail;
    }

    pub(super) fn fail_syncs(&self, fail: bool) {
        lock(&self.state).faults.fail_syncs = fail;
    }

    /// A copy of the disk as a running system sees it.
    pub(super) fn copy(&self) -> Self {
        let state = lock(&self.state).clone();
        let state = State {
            image: None,
            image_at: None,
            hook: None,
            ..state
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    pub(super) fn files(&self) -> Vec<PathBuf> {
        lock(&self.state).names.keys().cloned().collect()
    }

    /// Changes a file behind the log's back.
    pub(super) fn edit(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = lock(&self.state);
        let number = *state.names.get(path).expect("the file exists");
        let inode = &mut state.files[number];
        change(&mut inode.current);
        inode.durable.clone_from(&inode.current);
    }
}

impl State {
    fn step(&mut self) {
        self.operations += 1;
        if self.image_at.is_some_and(|at| self.operations >= at) {
            self.image_at = None;
            self.take_image();
            if let Some(hook) = self.hook.take() {
                hook();
            }
        }
    }

    fn take_image(&mut self) {
        self.image = Some(Arc::new(Image {
            files: self.files.clone(),
            durable_names: self.durable_names.clone(),
            name_changes: self.name_changes.clone(),
        }));
    }

    fn name(&mut self, path: &Path, what: Option<usize>) {
        match what {
            Some(file) => self.names.insert(path.to_owned(), file),
            None => self.names.remove(path),
        };
        self.name_changes.push((path.to_owned(), what));
    }

    fn find(&self, path: &Path) -> io::Result<usize> {
        self.names
            .get(path)
            .copied()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn spend(&mut self, bytes: u64) -> io::Result<()> {
        let Some(space) = &mut self.faults.space else {
            return Ok(());
        };
        *space = space.checked_sub(bytes).ok_or(io::ErrorKind::StorageFull)?;
        Ok(())
    }

    fn change(&mut self, number: usize, change: Change) {
        let inode = &mut self.files[number];
        change.apply(&mut inode.current, || true);
        inode.pending.push(change);
    }
}

impl Disk for FaultyDisk {
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = lock(&self.state);
        let inside = state.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(inside
            .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
            .collect())
    }

    fn create(&self, path: &Path, len: u64) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = lock(&self.state);
        state.step();
        if state.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let number = state.files.len();
        state.files.push(Inode::default());
        state.name(path, Some(number));
        state.spend(len)?;
        state.change(number, Change::SetLen(usize::try_from(len).unwrap()));
        Ok(Arc::new(FaultyFile {
            disk: self.clone(),
            number,
        }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let number = lock(&self.state).find(path)?;
        Ok(Arc::new(FaultyFile {
            disk: self.clone(),
            number,
        }))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = lock(&self.state);
        state.step();
        state.find(path)?;
        state.name(path, None);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = lock(&self.state);
        state.step();
        let number = state.find(from)?;
        state.name(to, Some(number));
        state.name(from, None);
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = lock(&self.state);
        state.step();
        let (here, elsewhere): (Vec<_>, Vec<_>) = std::mem::take(&mut state.name_changes)
            .into_iter()
            .partition(|(path, _)| path.parent() == Some(dir));
        state.name_changes = elsewhere;
        for (path, what) in here {
            match what {
                Some(file) => state.durable_names.insert(path, file),
                None => state.durable_names.remove(&path),
            };
        }
        Ok(())
    }
}

struct FaultyFile {
    disk: FaultyDisk,
    number: usize,
}

impl DiskFile for FaultyFile {
    fn len(&self) -> io::Result<u64> {
        Ok(lock(&self.disk.state).files[self.number].current.len() as u64)
    }

    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = lock(&self.disk.state);
        let file = &state.files[self.number].current;
        let rest = file
            .get(usize::try_from(offset).unwrap()..)
            .unwrap_or_default();
        let len = rest.len().min(buf.len());
        buf[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = lock(&self.disk.state);
        let offset = usize::try_from(offset).unwrap();
        let half = bytes[..bytes.len() / 2].to_vec();
        if state.faults.fail_writes {
            state.change(
                self.number,
                Change::Write {
                    offset,
                    bytes: half,
                },
            );
            return Err(io::Error::other("the cable came loose"));
        }
        // As on a file system that copies on write: even a reserved place can be refused.
        if let Err(error) = state.spend(bytes.len() as u64) {
            state.change(
                self.number,
                Change::Write {
                    offset,
                    bytes: half,
                },
            );
            return Err(error);
        }
        state.change(
            self.number,
            Change::Write {
                offset,
                bytes: bytes.to_vec(),
            },
        );
        state.step();
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = lock(&self.disk.state);
        state.step();
        let fail = state.faults.fail_syncs;
        let inode = &mut state.files[self.number];
        let pending = std::mem::take(&mut inode.pending);
        if fail {
            return Err(io::Error::other("the disk gave up"));
        }
        for change in pending {
            change.apply(&mut inode.durable, || true);
        }
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = lock(&self.disk.state);
        state.change(self.number, Change::SetLen(usize::try_from(len).unwrap()));
        state.step();
        Ok(())
    }

    fn reserve(&self, len: u64) -> io::Result<()> {
        let mut state = lock(&self.disk.state);
        let now = state.files[self.number].current.len() as u64;
        state.spend(len.saturating_sub(now))?;
        let len = usize::try_from(len.max(now)).unwrap();
        state.change(self.number, Change::SetLen(len));
        state.step();
        Ok(())
    }
}
