//! What the process does before it reads the relay's key.

/// No core files, no other process of this user looking in, new files for this user only.
pub(crate) fn process() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit};
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
        let none = Rlimit {
            current: Some(0),
            maximum: Some(0),
        };
        // A system that refuses either gives no reason to refuse to serve.
        let _ = rustix::process::setrlimit(Resource::Core, none);
    }
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}
