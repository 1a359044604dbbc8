//! What is handed in: a zip, a folder, or one file. It is only read.

use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use ajar_journal::import::{
    Archive, MEMBERS_MAX, Member, Members, OneFile, SKIPPED_MAX, Skipped, TEXT_FILE_BYTES_MAX,
    Unfit, safe_name,
};
use ajar_journal::text::displayable_line;
use rustix::fs::OFlags;

use super::refused;
use crate::report::{Failure, named_file};

/// How many folders may lie in one another.
const DEPTH_MAX: usize = 16;

/// Something to read from.
pub(super) enum Source {
    Zip(Box<Archive<BufReader<File>>>),
    Folder(Folder),
    One(OneFile),
}

impl Source {
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let shown = named_file(path);
        let failed = |error: std::io::Error| {
            Failure::fixable(
                "import-file",
                format!("{shown}: it cannot be read ({error})."),
            )
            .hint("Check the name of the file and that it is yours.")
        };
        let metadata = fs::metadata(path).map_err(failed)?;
        if metadata.is_dir() {
            let folder = Folder::walk(path).map_err(failed)?;
            return folder
                .map(Self::Folder)
                .ok_or_else(|| refused(path, &ajar_journal::import::Refused::TooManyMembers));
        }
        if !metadata.is_file() {
            return Err(Failure::fixable(
                "import-file",
                format!("{shown}: it is neither a file nor a folder."),
            )
            .hint("Name one file or folder."));
        }
        let mut file = File::open(path).map_err(failed)?;
        let mut first = [0; 4];
        let read = file.read(&mut first).map_err(failed)?;
        let file = File::open(path).map_err(failed)?;
        if read == first.len() && matches!(&first, b"PK\x03\x04" | b"PK\x05\x06") {
            let archive = Archive::open(BufReader::new(file)).map_err(|why| refused(path, &why))?;
            return Ok(Self::Zip(Box::new(archive)));
        }
        let mut bytes = Vec::new();
        file.take(TEXT_FILE_BYTES_MAX + 1)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        if u64::try_from(bytes.len()).is_ok_and(|length| length > TEXT_FILE_BYTES_MAX) {
            return Err(refused(path, &Unfit::TooLarge.into()));
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Ok(Self::One(OneFile::new(&name, bytes)))
    }

    pub(super) fn members(&mut self) -> &mut dyn Members {
        match self {
            Self::Zip(zip) => zip.as_mut(),
            Self::Folder(folder) => folder,
            Self::One(file) => file,
        }
    }
}

/// The files of a folder and of the folders in it. Links are not followed, wherever they lead, and what
/// is hidden (the settings and the waste bin of an editor) is passed over.
pub(super) struct Folder {
    list: Vec<Member>,
    paths: Vec<PathBuf>,
    left_out: Vec<Skipped>,
}

impl Folder {
    /// `None` when there are too many files in it.
    fn walk(root: &Path) -> std::io::Result<Option<Self>> {
        let mut folder = Self {
            list: Vec::new(),
            paths: Vec::new(),
            left_out: Vec::new(),
        };
        let mut open = vec![(root.to_owned(), String::new(), 0)];
        while let Some((path, prefix, depth)) = open.pop() {
            let entries = match fs::read_dir(&path) {
                Ok(entries) => entries,
                Err(error) if depth == 0 => return Err(error),
                Err(_) => {
                    folder.leave_out(&prefix, "it cannot be read; check that it is yours");
                    continue;
                }
            };
            for entry in entries.flatten() {
                if folder.list.len() >= MEMBERS_MAX || open.len() >= MEMBERS_MAX {
                    return Ok(None);
                }
                let name = entry.file_name();
                let Some(name) = name.to_str() else {
                    folder.leave_out(&name.to_string_lossy(), "its name is no text");
                    continue;
                };
                if name.starts_with('.') {
                    continue;
                }
                let whole = format!("{prefix}{name}");
                let Ok(kind) = entry.file_type() else {
                    continue;
                };
                if kind.is_symlink() {
                    folder.leave_out(&whole, "it is a link to another file");
                } else if kind.is_dir() && depth < DEPTH_MAX {
                    open.push((entry.path(), format!("{whole}/"), depth + 1));
                } else if kind.is_dir() {
                    folder.leave_out(&whole, "it lies in too many folders");
                } else if kind.is_file() {
                    folder.add(whole, entry.path());
                }
            }
        }
        Ok(Some(folder))
    }

    fn add(&mut self, name: String, path: PathBuf) {
        // A back-slash is an ordinary sign here, and a separator in a zip.
        match safe_name(&name) {
            Ok(safe) if safe == name => {
                let size = fs::symlink_metadata(&path).map_or(0, |metadata| metadata.len());
                self.list.push(Member { name, size });
                self.paths.push(path);
            }
            Ok(_) => self.leave_out(&name, "its name cannot be kept as it is; rename it"),
            Err(why) => self.leave_out(&name, why),
        }
    }

    fn leave_out(&mut self, name: &str, why: &str) {
        if self.left_out.len() < SKIPPED_MAX {
            self.left_out.push(Skipped {
                what: displayable_line(name),
                why: why.to_owned(),
            });
        }
    }
}

impl Members for Folder {
    fn list(&self) -> &[Member] {
        &self.list
    }

    fn left_out(&self) -> &[Skipped] {
        &self.left_out
    }

    fn read(&mut self, place: usize, most: u64) -> Result<Vec<u8>, Unfit> {
        let path = self.paths.get(place).ok_or(Unfit::Unreadable)?;
        // What became a link or a pipe meanwhile is not followed and not waited for.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(i32::try_from(flags).unwrap_or(0))
            .open(path)
            .map_err(|_| Unfit::Unreadable)?;
        if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
            return Err(Unfit::Unreadable);
        }
        let mut bytes = Vec::new();
        file.take(most.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|_| Unfit::Unreadable)?;
        match u64::try_from(bytes.len()) {
            Ok(length) if length <= most => Ok(bytes),
            _ => Err(Unfit::TooLarge),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Folder) -> Vec<&str> {
        let mut names: Vec<&str> = folder.list.iter().map(|one| one.name.as_str()).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn links_are_not_followed_and_hidden_folders_are_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("notes/deep")).unwrap();
        fs::create_dir_all(at("notes/.trash")).unwrap();
        fs::write(at("secret.md"), "not for the journal").unwrap();
        fs::write(at("notes/2024-01-01.md"), "Rain.").unwrap();
        fs::write(at("notes/deep/2024-01-02.md"), "Sun.").unwrap();
        fs::write(at("notes/.trash/2024-01-03.md"), "gone").unwrap();
        std::os::unix::fs::symlink(at("secret.md"), at("notes/2024-01-04.md")).unwrap();
        std::os::unix::fs::symlink(dir.path(), at("notes/round")).unwrap();
        let mut folder = Folder::walk(&at("notes")).unwrap().unwrap();
        assert_eq!(names(&folder), ["2024-01-01.md", "deep/2024-01-02.md"]);
        assert_eq!(folder.left_out.len(), 2);
        // A link that takes the place of a file after the walk.
        let place = folder
            .paths
            .iter()
            .position(|path| path.ends_with("2024-01-01.md"));
        let place = place.unwrap();
        assert_eq!(folder.read(place, 100).unwrap(), b"Rain.");
        assert_eq!(folder.read(place, 2), Err(Unfit::TooLarge));
        fs::remove_file(at("notes/2024-01-01.md")).unwrap();
        std::os::unix::fs::symlink(at("secret.md"), at("notes/2024-01-01.md")).unwrap();
        assert_eq!(folder.read(place, 100), Err(Unfit::Unreadable));
    }

    #[test]
    fn folders_in_one_another_end_somewhere() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/".repeat(DEPTH_MAX + 3));
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("2024-01-01.md"), "Rain.").unwrap();
        let folder = Folder::walk(dir.path()).unwrap().unwrap();
        assert!(folder.list.is_empty());
        assert_eq!(folder.left_out[0].why, "it lies in too many folders");
    }

    #[test]
    fn what_is_not_there_says_so() {
        let failure = Source::open(Path::new("/nowhere/at-all.zip"))
            .map(drop)
            .unwrap_err();
        assert_eq!(failure.code(), "import-file");
        let failure = Source::open(Path::new("/dev/null")).map(drop).unwrap_err();
        assert!(failure.message().contains("neither a file nor a folder"));
    }
}
