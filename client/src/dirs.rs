//! Where a journal lives: `--home`, `AJAR_HOME`, or `ajar` in the XDG data directory.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::report::Failure;

/// The folder of the journal.
pub(crate) fn home(given: Option<&Path>) -> Result<PathBuf, Failure> {
    choose(given, env::var_os("XDG_DATA_HOME"), env::var_os("HOME")).ok_or_else(|| {
        Failure::fixable(
            "no-home-folder",
            "This system does not say where your files are (HOME is not set).",
        )
        .hint("Say it with --home DIR or AJAR_HOME.")
    })
}

/// What this machine calls itself, as the name of a new device.
pub(crate) fn host_name() -> String {
    let name = rustix::system::uname();
    let name: String = name
        .nodename()
        .to_string_lossy()
        .chars()
        .filter(|c| !c.is_control())
        .take(64)
        .collect();
    if name.trim().is_empty() {
        "device".to_owned()
    } else {
        name
    }
}

fn choose(given: Option<&Path>, data: Option<OsString>, user: Option<OsString>) -> Option<PathBuf> {
    if let Some(given) = given.filter(|given| !given.as_os_str().is_empty()) {
        return Some(given.to_owned());
    }
    // The XDG rules: a path that is not absolute counts as not set.
    let data = data.map(PathBuf::from).filter(|data| data.is_absolute());
    let user = user.map(PathBuf::from).filter(|user| user.is_absolute());
    data.or_else(|| user.map(|user| user.join(".local/share")))
        .map(|data| data.join("ajar"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_goes_before_what_is_usual() {
        let (data, user) = (Some("/data".into()), Some("/home/ana".into()));
        let said = Some(Path::new("here"));
        assert_eq!(
            choose(said, data.clone(), user.clone()),
            Some("here".into())
        );
        assert_eq!(choose(None, data, user.clone()), Some("/data/ajar".into()));
        let usual = Some("/home/ana/.local/share/ajar".into());
        assert_eq!(choose(None, None, user.clone()), usual);
        assert_eq!(choose(None, Some("relative".into()), user.clone()), usual);
        assert_eq!(choose(Some(Path::new("")), None, user), usual);
        assert_eq!(choose(None, None, None), None);
    }
}
