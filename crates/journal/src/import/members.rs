//! Named files of a source, wherever they lie.

use super::Skipped;

/// Longest name of a file in a source, in bytes.
const NAME_BYTES_MAX: usize = 1024;

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its path within the source, as [`safe_name`] gives it.
    pub name: String,
    /// Its length in bytes as the source says it, which may be a lie.
    pub size: u64,
}

impl Member {
    /// The part behind the last `/`.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.name
            .rsplit_once('/')
            .map_or(&self.name, |(_, name)| name)
    }

    /// Whether the name ends so, in capital or small letters; `ending` has the dot.
    #[must_use]
    pub(crate) fn ends_with(&self, ending: &str) -> bool {
        let start = self.name.len().checked_sub(ending.len());
        start
            .and_then(|start| self.name.get(start..))
            .is_some_and(|end| end.eq_ignore_ascii_case(ending))
    }

    /// How many folders it lies in.
    pub(crate) fn depth(&self) -> usize {
        self.name.matches('/').count()
    }
}

/// The files of a source.
pub trait Members {
    /// All files that may be read, at most [`super::MEMBERS_MAX`].
    fn list(&self) -> &[Member];

    /// What was left out from the beginning, for the report.
    fn left_out(&self) -> &[Skipped];

    /// Whether it is one file that stands alone.
    fn is_single(&self) -> bool {
        false
    }

    /// The bytes of a file, by its place in [`Self::list`]; at most `most` of them.
    ///
    /// # Errors
    /// [`Unfit`].
    fn read(&mut self, place: usize, most: u64) -> Result<Vec<u8>, Unfit>;
}

/// Why a file of a source cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Larger than this kind of file may be.
    #[error("it is too large")]
    TooLarge,
    /// It unpacks to far more than its size allows for: made to fill memory.
    #[error("it unpacks to far more than it could hold")]
    Bomb,
    /// It needs a password.
    #[error("it is locked with a password; unlock it where it was made")]
    Locked,
    /// Packed in a way that is not known here.
    #[error("it is packed in a way that is not known here; pack it anew as an ordinary zip")]
    UnknownPacking,
    /// Its checksum does not hold, or part of it is missing.
    #[error("it is damaged")]
    Damaged,
    /// It is not UTF-8 text.
    #[error("it is not UTF-8 text; convert it first, for example with `iconv -t utf-8`")]
    NotText,
    /// The system does not give it.
    #[error("it cannot be read; check that it is yours")]
    Unreadable,
}

/// A path that stays within its source, with `/` between its parts.
///
/// # Errors
/// Why it is refused, for people.
pub fn safe_name(name: &str) -> Result<String, &'static str> {
    if name.len() > NAME_BYTES_MAX {
        return Err("its name is too long");
    }
    if name.chars().any(char::is_control) {
        return Err("its name has control characters");
    }
    // Some programs for Windows write their own separator.
    let name = name.replace('\\', "/");
    let drive = name.as_bytes().get(1) == Some(&b':');
    if name.starts_with('/') || drive {
        return Err("its name says where on the disk it wants to go");
    }
    let parts: Vec<&str> = name
        .split('/')
        .filter(|part| !matches!(*part, "" | "."))
        .collect();
    if parts.contains(&"..") {
        return Err("its name leads out of the folder");
    }
    if parts.is_empty() {
        return Err("it has no name");
    }
    Ok(parts.join("/"))
}

/// A source of one file that stands alone.
pub struct OneFile {
    list: [Member; 1],
    bytes: Vec<u8>,
}

crate::redacted_debug!(OneFile);

impl OneFile {
    /// A file of that name.
    #[must_use]
    pub fn new(name: &str, bytes: Vec<u8>) -> Self {
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let name = safe_name(name).unwrap_or_else(|_| "file".to_owned());
        Self {
            list: [Member { name, size }],
            bytes,
        }
    }
}

impl Members for OneFile {
    fn list(&self) -> &[Member] {
        &self.list
    }

    fn left_out(&self) -> &[Skipped] {
        &[]
    }

    fn is_single(&self) -> bool {
        true
    }

    fn read(&mut self, _: usize, most: u64) -> Result<Vec<u8>, Unfit> {
        match u64::try_from(self.bytes.len()) {
            Ok(length) if length <= most => Ok(self.bytes.clone()),
            _ => Err(Unfit::TooLarge),
        }
    }
}
