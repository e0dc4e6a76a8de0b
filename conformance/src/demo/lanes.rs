//! Draws who says what to whom: four lanes, device time at the left.
//!
//! ```text
//!             console   agent    device    SCA
//!    0:00.020    │        ├────────▶│        │   GetUUID
//! ```

use std::fmt::Write as _;
use std::time::Duration;

/// A party, in the order of the lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lane {
    Console,
    Agent,
    Device,
    Sca,
}

/// One line of the picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) at: Duration,
    pub(super) what: What,
    pub(super) text: String,
    pub(super) tone: Tone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Says {
        from: Lane,
        to: Lane,
    },
    /// Something happens at one party.
    Alone(Lane),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    /// A turn of the story.
    Bright,
    Bad,
}

const LANES: [(Lane, &str); 4] = [
    (Lane::Console, "console"),
    (Lane::Agent, "agent"),
    (Lane::Device, "device"),
    (Lane::Sca, "SCA"),
];

/// Columns from one lane to the next.
const STEP: usize = 9;
/// Columns before the first lane: the time.
const MARGIN: usize = 15;

fn column(lane: Lane) -> usize {
    MARGIN + STEP * lane as usize
}

/// Where the text begins.
const TEXT: usize = MARGIN + STEP * 3 + 4;

/// The names above the lanes.
pub(super) fn head(colour: bool) -> String {
    let mut line = vec![' '; TEXT];
    for (lane, name) in LANES {
        let start = column(lane).saturating_sub(name.len() / 2);
        for (at, letter) in name.chars().enumerate() {
            if let Some(cell) = line.get_mut(start + at) {
                *cell = letter;
            }
        }
    }
    let line: String = line.into_iter().collect();
    paint(line.trim_end(), "1", colour)
}

/// One line; its text goes on below itself where it would be wider than `width`.
pub(super) fn draw(line: &Line, width: usize, colour: bool) -> String {
    let mut cells = empty();
    match line.what {
        What::Alone(lane) => put(&mut cells, column(lane), '●'),
        What::Says { from, to } => {
            let (left, right) = (column(from.min(to)), column(from.max(to)));
            for at in left + 1..right {
                put(&mut cells, at, '─');
            }
            let (start, end) = match from < to {
                true => ('├', '▶'),
                false => ('┤', '◀'),
            };
            put(&mut cells, column(from), start);
            put(&mut cells, column(to), end);
        }
    }
    let time = clock(line.at);
    for (at, digit) in time.chars().enumerate() {
        put(&mut cells, MARGIN - 4 - time.len() + at, digit);
    }
    let code = match line.tone {
        Tone::Plain => "",
        Tone::Bright => "1;36",
        Tone::Bad => "1;31",
    };
    let mut out = String::new();
    for (number, text) in wrapped(&line.text, width.saturating_sub(TEXT).max(24))
        .into_iter()
        .enumerate()
    {
        let lanes: String = match number {
            0 => cells.iter().collect(),
            _ => empty().iter().collect(),
        };
        let _ = writeln!(out, "{}{}", lanes, paint(&text, code, colour));
    }
    out
}

/// A line on which nobody says anything.
fn empty() -> Vec<char> {
    let mut cells = vec![' '; TEXT];
    for (lane, _) in LANES {
        put(&mut cells, column(lane), '│');
    }
    cells
}

fn put(cells: &mut [char], at: usize, letter: char) {
    if let Some(cell) = cells.get_mut(at) {
        *cell = letter;
    }
}

/// `7:00.040`: minutes, seconds, thousandths.
fn clock(at: Duration) -> String {
    let (minutes, seconds) = (at.as_secs() / 60, at.as_secs() % 60);
    format!("{minutes}:{seconds:02}.{:03}", at.subsec_millis())
}

/// Words in lines of `width` columns.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let Some(last) = lines.last_mut() else {
            break;
        };
        if !last.is_empty() && last.chars().count() + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
            continue;
        }
        if !last.is_empty() {
            last.push(' ');
        }
        last.push_str(word);
    }
    lines
}

pub(super) fn paint(text: &str, code: &str, colour: bool) -> String {
    match colour && !code.is_empty() {
        true => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(what: What, text: &str) -> Line {
        Line {
            at: Duration::from_millis(420_040),
            what,
            text: text.to_owned(),
            tone: Tone::Bright,
        }
    }

    #[test]
    fn a_picture() {
        let (from, to) = (Lane::Agent, Lane::Device);
        let mut shown = head(false) + "\n";
        shown += &draw(&line(What::Says { from, to }, "GetUUID"), 80, false);
        let (from, to) = (Lane::Sca, Lane::Console);
        shown += &draw(&line(What::Says { from, to }, "it is done"), 80, false);
        shown += &draw(
            &line(
                What::Alone(Lane::Device),
                "makes its key, which takes so long that a line is not enough",
            ),
            80,
            false,
        );
        insta::assert_snapshot!(shown);
    }

    #[test]
    fn no_colour_where_nobody_asked_for_it() {
        let alone = line(What::Alone(Lane::Device), "x");
        assert!(!draw(&alone, 80, false).contains('\u{1b}'));
        assert!(draw(&alone, 80, true).contains("\u{1b}[1;36mx\u{1b}[0m"));
    }
}
