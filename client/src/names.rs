//! How people and spaces are called, on a screen and in JSON.

use ajar_journal::imported::{self, Origin};
use ajar_journal::text::displayable_line;
use ajar_sync::{DeviceId, Home, PartyId, Space, SpaceKind};

use crate::cli::Who;

/// The names of the two, safe to print.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    own: String,
    partner: Option<String>,
    /// What the person's own devices are called, by each of their ids.
    devices: Vec<(DeviceId, String)>,
    /// Devices that are in both spaces: their ids in the shared and in the private one.
    twice: Vec<(DeviceId, DeviceId)>,
}

/// Who wrote something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Author {
    Me,
    Partner,
    Both,
}

impl From<Who> for Author {
    fn from(who: Who) -> Self {
        match who {
            Who::Me => Self::Me,
            Who::Partner => Self::Partner,
        }
    }
}

/// What cannot be opened because of what is on the disk, a line for each space.
pub(crate) fn damaged(home: &Home) -> Vec<String> {
    let line = |(kind, why): &(SpaceKind, String)| {
        format!(
            "{}: cannot be opened here, {}. `ajar doctor` says more.",
            space_name(*kind),
            why.trim_end_matches("; run `ajar doctor`")
        )
    };
    home.damaged().iter().map(line).collect()
}

/// Whether that one is among them.
pub(crate) fn is_damaged(home: &Home, wanted: SpaceKind) -> bool {
    home.damaged().iter().any(|(kind, _)| *kind == wanted)
}

impl Names {
    pub(crate) fn of(home: &Home) -> Self {
        let mut names = Self::new(&home.name(), home.partner_name().as_deref());
        // Notices and lists are readable without names of devices.
        for device in home.devices().unwrap_or_default() {
            let ids = [device.private, device.shared];
            names.twice.extend(device.shared.zip(device.private));
            if let Some(name) = device.name {
                let name = displayable_line(&name);
                let named = ids.into_iter().flatten().map(|id| (id, name.clone()));
                names.devices.extend(named);
            }
        }
        names
    }

    pub(crate) fn new(own: &str, partner: Option<&str>) -> Self {
        Self {
            own: displayable_line(own),
            partner: partner.map(displayable_line),
            devices: Vec::new(),
            twice: Vec::new(),
        }
    }

    /// One id for a device of one's own, whichever of its ids this is.
    pub(crate) fn one_id(&self, id: DeviceId) -> DeviceId {
        let both = self.twice.iter().find(|(shared, _)| *shared == id);
        both.map_or(id, |(_, private)| *private)
    }

    /// What a device of one's own is called, if that is known here.
    pub(crate) fn device(&self, id: DeviceId) -> Option<&str> {
        let named = self.devices.iter().find(|(known, _)| *known == id);
        named.map(|(_, name)| name.as_str())
    }

    pub(crate) fn own(&self) -> &str {
        &self.own
    }

    /// The partner's name, if it is known.
    pub(crate) fn known_partner(&self) -> Option<&str> {
        self.partner.as_deref()
    }

    pub(crate) fn partner(&self) -> &str {
        self.partner.as_deref().unwrap_or("your partner")
    }

    /// The name of an author.
    pub(crate) fn name(&self, author: Author) -> &str {
        match author {
            Author::Me => self.own(),
            Author::Partner => self.partner(),
            Author::Both => "both of you",
        }
    }
}

impl Author {
    /// Whose a document or a change is. A document without an owner belongs to both.
    pub(crate) fn of(space: &Space, party: Option<PartyId>) -> Self {
        Self::by(space.own_party(), party)
    }

    /// The same for whoever has this party.
    pub(crate) fn by(own: PartyId, party: Option<PartyId>) -> Self {
        match party {
            Some(party) if party == own => Self::Me,
            Some(_) => Self::Partner,
            None => Self::Both,
        }
    }

    /// Whose something was that came out of an archive.
    pub(crate) fn before(origin: &Origin) -> Self {
        match origin.author {
            imported::Author::Me => Self::Me,
            imported::Author::Partner => Self::Partner,
            imported::Author::Both => Self::Both,
        }
    }

    /// The word in JSON.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Me => "me",
            Self::Partner => "partner",
            Self::Both => "both",
        }
    }
}

/// A space in JSON: `me` or `us`.
pub(crate) fn space_word(kind: SpaceKind) -> &'static str {
    match kind {
        SpaceKind::Private => "me",
        SpaceKind::Shared => "us",
    }
}

/// A space on a screen.
pub(crate) fn space_name(kind: SpaceKind) -> &'static str {
    match kind {
        SpaceKind::Private => "Only me",
        SpaceKind::Shared => "Us",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partners_name_cannot_paint_the_terminal() {
        let names = Names::new("Ana", Some("Ben\u{1b}[2J"));
        assert_eq!(names.name(Author::Partner), "Ben␛[2J");
        assert_eq!(names.name(Author::Me), "Ana");
        assert_eq!(Names::new("Ana", None).partner(), "your partner");
    }
}
