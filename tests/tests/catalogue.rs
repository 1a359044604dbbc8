//! The maps from attacks to tests, `docs/attacks.md`, and from ideas to tests, `docs/ideas.md`:
//! every number has one row, and every test that a row names is there.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;

/// Numbers of the catalogue that need no page in a browser.
const NUMBERS: [RangeInclusive<u32>; 2] = [1..=114, 122..=126];

/// Headline behind which the attacks stand that come with the page.
const LATER: &str = "\n## With the page\n";

/// What is wrong with a map, in words. `source` gives the content of a file by its path from
/// the root of the repository.
fn faults(map: &str, source: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut faults = Vec::new();
    let mut rows: BTreeMap<u32, u32> = BTreeMap::new();
    let now = map.split(LATER).next().unwrap_or_default();
    for line in now.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let Some(number) = cells.get(1).and_then(|cell| cell.parse::<u32>().ok()) else {
            continue;
        };
        *rows.entry(number).or_default() += 1;
        let &["", _, attack, promise, tests, state, ""] = cells.as_slice() else {
            faults.push(format!("{number}: not five cells"));
            continue;
        };
        if attack.is_empty() || promise.is_empty() {
            faults.push(format!("{number}: no attack or no promise"));
        }
        let named = names(tests);
        for name in &named {
            faults.extend(missing(name, &source).map(|why| format!("{number}: {why}")));
        }
        faults.extend(unfounded(state, named.len()).map(|why| format!("{number}: {why}")));
    }
    for number in NUMBERS.into_iter().flatten() {
        match rows.remove(&number) {
            Some(1) => {}
            Some(count) => faults.push(format!("{number}: {count} rows")),
            None => faults.push(format!("{number}: no row")),
        }
    }
    faults.extend(
        rows.keys()
            .map(|number| format!("{number}: no such number")),
    );
    faults
}

/// What stands in backticks.
fn names(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// Why a state says more or less than its tests.
fn unfounded(state: &str, tests: usize) -> Option<String> {
    let (word, rest) = state.split_once(':').unwrap_or((state, ""));
    let explained = rest.trim().len() > 10;
    let founded = match word {
        "held" => tests > 0 && rest.is_empty(),
        "held in part" => tests > 0 && explained,
        "no test" => tests == 0 && explained,
        _ => false,
    };
    (!founded).then(|| format!("{word:?} with {tests} tests"))
}

/// Why a name of the form `file::function` names no test.
fn missing(name: &str, source: impl Fn(&str) -> Option<String>) -> Option<String> {
    let Some((path, function)) = name.rsplit_once("::") else {
        return Some(format!("{name} names no file"));
    };
    let Some(text) = source(path) else {
        return Some(format!("{path} is not there"));
    };
    (!has_test(&text, function)).then(|| format!("{path} has no test {function}"))
}

/// Whether a source has a function of this name that is marked as a test.
fn has_test(text: &str, function: &str) -> bool {
    let (plain, with_async) = (format!("fn {function}("), format!("async fn {function}("));
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let starts = |line: &str| line.starts_with(&plain) || line.starts_with(&with_async);
    let found = lines.iter().position(|line| starts(line));
    let before = found.and_then(|place| lines.get(..place));
    let marks = before.unwrap_or_default().iter().rev();
    let mut marks = marks.take_while(|line| line.starts_with("#["));
    marks.any(|mark| mark.starts_with("#[test]") || mark.starts_with("#[tokio::test"))
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

#[test]
fn every_attack_has_one_row_and_every_test_named_there_exists() {
    let map = std::fs::read_to_string(root().join("docs/attacks.md")).unwrap();
    let source = |path: &str| std::fs::read_to_string(root().join(path)).ok();
    let faults = faults(&map, source);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_idea_has_a_part_and_tests_that_exist() {
    let map = std::fs::read_to_string(root().join("docs/ideas.md")).unwrap();
    let source = |path: &str| std::fs::read_to_string(root().join(path)).ok();
    let rows = map.lines().filter(|line| line.starts_with("| "));
    let mut ideas = 0;
    for row in rows.filter(|row| !row.starts_with("| Idea |")) {
        let cells: Vec<&str> = row.split(" | ").collect();
        let [idea, _part, _works_when, tests] = cells.as_slice() else {
            panic!("not four cells: {row}");
        };
        let named = names(tests);
        assert!(!named.is_empty(), "no test: {idea}");
        for name in named {
            assert_eq!(missing(name, source), None, "{idea}");
        }
        ideas += 1;
    }
    assert!(ideas >= 17, "only {ideas} ideas");
}

#[test]
fn a_map_that_is_wrong_is_found_out() {
    let file = "#[test]\nfn plain() {}\n    #[tokio::test(flavor = \"x\")]\n    #[ignore]\n    \
                async fn waits() {}\nfn helper() {}\n#[test]\nfn plainer() {}\n";
    let source = |path: &str| (path == "a.rs").then(|| file.to_owned());
    let row = |number: u32, tests: &str, state: &str| {
        format!("| {number} | attack | promise | {tests} | {state} |\n")
    };
    let good = |number: u32| row(number, "`a.rs::plain`<br>`a.rs::waits`", "held");
    let all = || NUMBERS.into_iter().flatten();
    let with = |changed: u32, line: &str| -> String {
        let lines = all().map(|number| match number == changed {
            true => line.to_owned(),
            false => good(number),
        });
        lines.collect()
    };
    let head = "| No. | Attack | Promise | Tests | State |\n|---|---|---|---|---|\n";
    let whole = format!("{head}{}{LATER}{}", with(0, ""), good(7));
    assert_eq!(faults(&whole, source), Vec::<String>::new());

    let partly = "held in part: something is missing";
    let reason = "no test: there is nothing to test";
    for right in [
        row(7, "`a.rs::plain`", partly),
        row(7, "–", reason),
        row(7, "`a.rs::plainer`", "held"),
    ] {
        assert_eq!(faults(&with(7, &right), source), Vec::<String>::new());
    }
    for wrong in [
        // No row, and two.
        String::new(),
        good(7) + &good(7),
        // A file that is not there, a function that is not, one that is no test, part of a name.
        row(7, "`b.rs::plain`", "held"),
        row(7, "`a.rs::gone`", "held"),
        row(7, "`a.rs::helper`", "held"),
        row(7, "`a.rs::plai`", "held"),
        row(7, "`plain`", "held"),
        // States that do not fit.
        row(7, "–", "held"),
        row(7, "–", partly),
        row(7, "`a.rs::plain`", reason),
        row(7, "`a.rs::plain`", "held in part"),
        row(7, "–", "no test"),
        row(7, "`a.rs::plain`", "fine"),
        row(7, "`a.rs::plain`", "held: mostly, and so on"),
        // Cells that are missing, and one too many.
        "| 7 | attack | `a.rs::plain` | held |\n".to_owned(),
        row(7, "`a.rs::plain` | more", "held"),
    ] {
        let found = faults(&with(7, &wrong), source);
        assert_eq!(found.len(), 1, "{wrong:?}: {found:?}");
        assert!(found.iter().all(|fault| fault.starts_with("7: ")));
    }
    for unknown in [0, 115, 121, 127] {
        let found = faults(&(with(0, "") + &good(unknown)), source);
        assert_eq!(found, [format!("{unknown}: no such number")]);
    }
}
