//! Bytes that nobody sends in good faith. One function for each way in, which panics when it finds
//! something, for two runners: `cargo fuzz` (`tests/fuzz`), which looks for new paths through the
//! code for as long as it may, and [`runner`], a bounded run of seeds and mutations of them within
//! the ordinary tests.
//!
//! What an input means is said at each target: often the first byte chooses, and what hides behind
//! a checksum, a length or a signature is made right again, so that a change reaches what is
//! behind it.

mod chain;
mod changes;
mod craft;
mod epochs;
mod import;
mod log;
mod messages;
mod mutate;
mod objects;
mod operations;
mod packs;
mod panics;
mod photo;
pub mod runner;
mod scene;
mod sealed;
mod seeds;
mod store;
mod vault;
mod world;

pub use chain::chain;
pub use changes::changes;
pub use epochs::epochs;
pub use import::import;
pub use log::log;
pub use messages::messages;
pub use objects::objects;
pub use operations::operations;
pub use packs::packs;
pub use photo::photo;
pub use sealed::sealed;
pub use store::store;
pub use vault::vault;

/// What became of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fate {
    /// Who read it, where a target has several readers.
    pub way: &'static str,
    /// It came past the checks of its form; what those hide is reached only then.
    pub taken: bool,
}

impl Fate {
    /// `None` is for inputs that are too short to choose a reader.
    pub(crate) fn of(way: &'static str, taken: bool) -> Option<Self> {
        Some(Self { way, taken })
    }
}

/// One target.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name: of the function, of the program in `tests/fuzz` and of the folder of its inputs.
    pub name: &'static str,
    /// Says what became of an input; panics when it shows a defect.
    pub run: fn(&[u8]) -> Option<Fate>,
    /// Inputs to begin from.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Inputs of the run within the ordinary tests: what one costs differs a thousandfold.
    pub inputs: usize,
    /// Memory that one input may cost, in bytes.
    pub memory: u64,
}

const MIB: u64 = 1 << 20;

const fn target(
    name: &'static str,
    run: fn(&[u8]) -> Option<Fate>,
    seeds: fn() -> Vec<Vec<u8>>,
    inputs: usize,
) -> Target {
    Target {
        name,
        run,
        seeds,
        inputs,
        memory: 256 * MIB,
    }
}

/// All of them.
pub const TARGETS: [Target; 13] = [
    target("objects", objects, objects::seeds, 60_000),
    target("messages", messages, messages::seeds, 60_000),
    target("vault", vault, vault::seeds, 600),
    target("log", log, log::seeds, 150),
    Target {
        // Decoding alone may take 400 MiB.
        memory: 1024 * MIB,
        ..target("photo", photo, photo::seeds, 6000)
    },
    target("import", import, import::seeds, 6000),
    target("sealed", sealed, sealed::seeds, 8000),
    target("chain", chain, chain::seeds, 8000),
    target("epochs", epochs, epochs::seeds, 500),
    target("changes", changes, changes::seeds, 2000),
    target("packs", packs, packs::seeds, 4000),
    target("store", store, store::seeds, 2000),
    target("operations", operations, operations::seeds, 200),
];

/// Runs one target once, for `cargo fuzz`. A panic that the product catches is no finding there
/// either; any other ends the process with its words.
///
/// # Panics
/// When the input shows a defect.
pub fn fuzz(name: &str, input: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    if let Err(why) = panics::of(|| (target.run)(input)) {
        eprintln!("{name}: {why}");
        std::process::abort();
    }
}
