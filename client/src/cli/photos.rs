//! Options about photos, and `photo`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::seconds;

/// Photos to add.
#[derive(Debug, Args)]
pub(crate) struct Photos {
    /// A photo to add; repeat for more. It is written anew, so that it says nothing about place, time
    /// and camera any more
    #[arg(long = "photo", value_name = "FILE")]
    pub(crate) photos: Vec<PathBuf>,
    /// Keep the files byte for byte and with their names; any kind of file will do. The price: a
    /// photo may say where and when it was taken
    #[arg(long, requires = "photos")]
    pub(crate) original: bool,
}

impl Photos {
    /// Whether any was named.
    pub(crate) fn is_any(&self) -> bool {
        !self.photos.is_empty()
    }
}

/// Write a photo of an entry or opening into a new file
#[derive(Debug, Args)]
#[command(after_help = "Example:  ajar photo 3f2a 1 sunset.jpg")]
pub(crate) struct TakePhoto {
    /// At least the first four characters of the id of the entry or opening
    pub(crate) id: String,
    /// The photo's number, as `ajar show` lists it
    #[arg(value_name = "N")]
    pub(crate) number: usize,
    /// A new file; nothing is ever overwritten
    pub(crate) file: PathBuf,
    /// Seconds to wait for the relay if it is not on this device [default: 60]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "60", hide_default_value = true)]
    pub(crate) timeout: Duration,
}
