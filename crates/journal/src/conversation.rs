//! How people receive each other: which answers fit, when to ask before sending one, and what
//! somebody has noted for themselves about doors they opened before.
//!
//! Every rule looks at what people chose, never at what they wrote.

use crate::layers::Need;
use crate::point::Point;
use crate::records::{Felt, ResponseSort};

/// From this stop on a felt note says yes.
const YES_FROM: u8 = 6;
/// Fewest noted answers before anything is said about them.
pub const EVIDENCE_MIN: usize = 4;

/// Answers that fit a need and a feeling, the most fitting first.
#[must_use]
pub fn palette(need: Option<Need>, point: Option<Point>) -> Vec<ResponseSort> {
    use ResponseSort as Sort;
    let glad = need == Some(Need::Celebrate) || point.is_some_and(Point::is_pleasant);
    if glad {
        return vec![
            Sort::TellMe,
            Sort::WhyItMatters,
            Sort::Proud,
            Sort::Relive,
            Sort::Celebrate,
            Sort::Presence,
        ];
    }
    let mut fitting = match need {
        Some(Need::Hold | Need::Space) => vec![Sort::Presence, Sort::Comfort, Sort::Validate],
        Some(Need::Help) => vec![Sort::Help, Sort::Listen, Sort::Validate],
        Some(Need::Think) => vec![Sort::Listen, Sort::AnotherWay, Sort::Validate],
        _ => vec![Sort::Listen, Sort::Validate, Sort::Comfort],
    };
    for more in [Sort::Listen, Sort::Comfort, Sort::MeToo, Sort::Presence] {
        if !fitting.contains(&more) {
            fitting.push(more);
        }
    }
    fitting
}

/// What to ask before an answer goes out that is not what was asked for; `None` when it fits.
#[must_use]
pub fn mismatch(
    need: Option<Need>,
    point: Option<Point>,
    sort: ResponseSort,
) -> Option<&'static str> {
    use ResponseSort as Sort;
    let glad = need == Some(Need::Celebrate) || point.is_some_and(Point::is_pleasant);
    match (need, sort) {
        (Some(Need::Help), Sort::Help) | (Some(Need::Think), Sort::AnotherWay) => None,
        (Some(Need::Hear), Sort::Help | Sort::AnotherWay) => Some("They asked to be heard."),
        (Some(Need::Hold), Sort::Help | Sort::AnotherWay) => Some("They asked to be held."),
        (Some(Need::Space), sort) if sort != Sort::Presence => Some("They asked for some room."),
        (_, Sort::Help) => Some("They have not asked for help."),
        (_, Sort::AnotherWay) => Some("They have not asked to see it another way."),
        (_, Sort::Comfort) if glad => Some("They are glad about this."),
        (_, Sort::Proud | Sort::Celebrate | Sort::Relive)
            if !glad && point.is_some_and(Point::is_unpleasant) =>
        {
            Some("This does not seem to be good news for them.")
        }
        _ => None,
    }
}

/// A few beginnings for an answer.
#[must_use]
pub fn starters(sort: ResponseSort) -> &'static [&'static str] {
    match sort {
        ResponseSort::Listen => &[
            "What I hear is…",
            "The part that seems to hurt most is…",
            "Did I get it, or is there more?",
        ],
        ResponseSort::Validate => &[
            "It makes sense that you…, given…",
            "I did not know it was that heavy.",
            "You do not have to be over it.",
        ],
        ResponseSort::Comfort => &[
            "I am on your side in this.",
            "What would make tonight easier?",
        ],
        ResponseSort::TellMe => &["Tell me the moment you knew."],
        ResponseSort::WhyItMatters => &["What did you do that made it happen?"],
        ResponseSort::Proud => &["Who else should hear this?"],
        ResponseSort::Celebrate => &["How shall we mark it?"],
        ResponseSort::AnotherWay
        | ResponseSort::MeToo
        | ResponseSort::Help
        | ResponseSort::Relive
        | ResponseSort::Presence => &[],
    }
}

/// What somebody noted for themselves after they had opened doors like this one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Evidence {
    /// How many openings it is about.
    pub doors: usize,
    /// In how many they noted that they were cared for.
    pub cared: usize,
    /// In how many that they were understood.
    pub understood: usize,
    /// In how many that it hurt.
    pub hurt: usize,
}

impl Evidence {
    /// From one's own notes about these openings; `None` below [`EVIDENCE_MIN`].
    #[must_use]
    pub fn of(openings: &[String], notes: &[Felt]) -> Option<Self> {
        let mut evidence = Self::default();
        for opening in openings {
            let mut about = notes
                .iter()
                .filter(|note| note.opening == *opening)
                .peekable();
            if about.peek().is_none() {
                continue;
            }
            let yes = |stop: Option<u8>| stop.is_some_and(|stop| stop >= YES_FROM);
            let (mut cared, mut understood, mut hurt) = (false, false, false);
            for note in about {
                cared |= yes(note.cared);
                understood |= yes(note.understood);
                hurt |= note.hurt;
            }
            evidence.doors += 1;
            evidence.cared += usize::from(cared);
            evidence.understood += usize::from(understood);
            evidence.hurt += usize::from(hurt);
        }
        (evidence.doors >= EVIDENCE_MIN).then_some(evidence)
    }

    /// The evidence as a sentence, without advice.
    #[must_use]
    pub fn in_words(self, word: &str) -> String {
        format!(
            "You opened {} doors marked {word} and noted how it was. Cared for in {}, understood in {}, hurt in {}.",
            self.doors, self.cared, self.understood, self.hurt
        )
    }
}

/// The next place in a conversation, after all that its writer has before them.
#[must_use]
pub fn next_turn(turns: impl IntoIterator<Item = u32>) -> u32 {
    turns.into_iter().max().unwrap_or(0).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(valence: i16) -> Option<Point> {
        Point::new(valence, 0)
    }

    #[test]
    fn good_news_is_answered_in_other_ways_than_bad() {
        let sad = palette(None, at(-50));
        let glad = palette(None, at(50));
        assert_eq!(sad.first(), Some(&ResponseSort::Listen));
        assert_eq!(glad.first(), Some(&ResponseSort::TellMe));
        assert!(!glad.contains(&ResponseSort::Comfort));
        for sort in [ResponseSort::Help, ResponseSort::AnotherWay] {
            assert!(!sad.contains(&sort), "only if asked for");
        }
        assert!(palette(Some(Need::Help), at(-50)).contains(&ResponseSort::Help));
        assert!(palette(Some(Need::Think), None).contains(&ResponseSort::AnotherWay));
    }

    #[test]
    fn help_for_somebody_who_asked_to_be_heard_is_asked_about() {
        let asked = mismatch(Some(Need::Hear), at(-50), ResponseSort::Help);
        assert_eq!(asked, Some("They asked to be heard."));
        for need in Need::ALL {
            for point in [None, at(-50), at(50)] {
                for sort in palette(Some(*need), point) {
                    let asks = mismatch(Some(*need), point, sort);
                    let room = *need == Need::Space && asks.is_some();
                    assert!(asks.is_none() || room, "{need} {sort}");
                }
            }
        }
    }

    fn note(opening: &str, cared: u8, hurt: bool) -> Felt {
        Felt {
            about: "0".repeat(32),
            opening: opening.to_owned(),
            understood: None,
            validated: None,
            cared: Some(cared),
            felt: None,
            acts: None,
            after: None,
            hurt,
            on: "2026-07-01".to_owned(),
        }
    }

    #[test]
    fn nothing_is_said_of_fewer_than_four_doors() {
        let openings: Vec<String> = (0..5).map(|n| n.to_string()).collect();
        let mut notes: Vec<Felt> = (0..3).map(|n| note(&n.to_string(), 8, false)).collect();
        // Two notes about one door are one door.
        notes.push(note("2", 2, true));
        notes.push(note("elsewhere", 8, true));
        assert_eq!(Evidence::of(&openings, &notes), None);
        notes.push(note("3", 4, false));
        let evidence = Evidence::of(&openings, &notes).unwrap();
        assert_eq!((evidence.doors, evidence.cared, evidence.hurt), (4, 3, 1));
        assert_eq!(evidence.understood, 0);
    }
}
