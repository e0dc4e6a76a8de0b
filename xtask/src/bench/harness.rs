//! Scenario runs with the bundled roles: how many in what time, and whether a run costs the same in a long plan as in
//! a short one. Draws the plot as text and to `target/harness-runs.svg`.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{Measurement, example, json_of};
use crate::workspace;

const NAME: &str = "harness.runs";
const FLAT: &str = "harness.flat";

/// What so many runs may take, in milliseconds.
const RUNS: usize = 200;
const GOAL: f64 = 20_000.0;

/// The lengths of plans that are compared.
const LENGTHS: [usize; 3] = [10, 100, 1000];

/// What the example prints.
#[derive(Debug, serde::Deserialize)]
struct Figures {
    jobs: usize,
    points: Vec<Point>,
}

#[derive(Debug, serde::Deserialize)]
struct Point {
    runs: usize,
    ms: f64,
    /// Of all cores together: other work on the machine does not count.
    processor_ms: f64,
}

impl Point {
    fn each(&self) -> f64 {
        self.processor_ms / self.runs as f64
    }
}

pub(crate) fn measure(wanted: &impl Fn(&str) -> bool) -> impl Iterator<Item = Result<Measurement>> {
    let rows = match wanted(NAME) || wanted(FLAT) {
        false => Vec::new(),
        true => match both() {
            Ok(rows) => rows.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error)],
        },
    };
    rows.into_iter()
}

fn both() -> Result<[Measurement; 2]> {
    let lengths = LENGTHS.iter().chain([&RUNS]).map(usize::to_string);
    let program = example("conformance", "harness_runs")?;
    let figures: Figures = json_of(Command::new(program).args(lengths))?;
    ensure!(
        figures.points.len() == LENGTHS.len() + 1,
        "a length is missing"
    );
    let (plot, last) = figures.points.split_at(LENGTHS.len());
    let [first, .., longest] = plot else {
        anyhow::bail!("there is nothing to compare");
    };
    print!("{}", text(plot, figures.jobs));
    let path = workspace::target().join("harness-runs.svg");
    fs::write(&path, svg(plot, figures.jobs)).with_context(|| path.display().to_string())?;
    Ok([
        Measurement {
            name: NAME.to_owned(),
            anchor: "what 200 runs may take",
            unit: "ms",
            ours: last[0].ms,
            anchored: GOAL,
            aim: 1.0,
        },
        Measurement {
            name: FLAT.to_owned(),
            anchor: "a run in a plan of ten",
            unit: "ms",
            ours: longest.each(),
            anchored: first.each(),
            aim: 1.2,
        },
    ])
}

/// A bar for each length: milliseconds of a core for a run.
fn text(points: &[Point], jobs: usize) -> String {
    const WIDTH: f64 = 50.0;
    let most = points
        .iter()
        .map(Point::each)
        .fold(f64::MIN_POSITIVE, f64::max);
    let mut out = format!("milliseconds of a core for a run, {jobs} at a time\n");
    for point in points {
        let bar = "#".repeat((point.each() / most * WIDTH).round() as usize);
        let _ = writeln!(out, "{:>6} runs {:>8.2} {bar}", point.runs, point.each());
    }
    out
}

/// The same as a line over the length, which grows by tens.
fn svg(points: &[Point], jobs: usize) -> String {
    const WIDTH: f64 = 480.0;
    const HEIGHT: f64 = 200.0;
    const LEFT: f64 = 60.0;
    const TOP: f64 = 40.0;
    let most = points
        .iter()
        .map(Point::each)
        .fold(f64::MIN_POSITIVE, f64::max)
        * 1.2;
    let x = |runs: usize| LEFT + ((runs as f64).log10() - 1.0) / 2.0 * WIDTH;
    let y = |each: f64| TOP + HEIGHT * (1.0 - each / most);
    let mut line = String::new();
    let mut marks = String::new();
    for point in points {
        let (x, y) = (x(point.runs), y(point.each()));
        let _ = write!(line, "{x:.1},{y:.1} ");
        let _ = write!(
            marks,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>\
<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{:.1}</text>\
<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{} runs</text>",
            y - 10.0,
            point.each(),
            TOP + HEIGHT + 20.0,
            point.runs
        );
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 620 290\" font-family=\"sans-serif\" font-size=\"13\" fill=\"#234\">\
<rect width=\"620\" height=\"290\" fill=\"#fff\"/>\
<text x=\"{LEFT}\" y=\"22\">milliseconds of a core for a run, by length of the plan; {jobs} at a time</text>\
<path d=\"M{LEFT} {TOP}V{bottom}H{right}\" fill=\"none\" stroke=\"#889\"/>\
<polyline points=\"{}\" fill=\"none\" stroke=\"#0b57c2\" stroke-width=\"2\"/>{marks}</svg>\n",
        line.trim_end(),
        bottom = TOP + HEIGHT,
        right = LEFT + WIDTH + 20.0,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plot_shows_what_a_run_costs() {
        let points = [
            Point {
                runs: 10,
                ms: 60.0,
                processor_ms: 100.0,
            },
            Point {
                runs: 1000,
                ms: 3000.0,
                processor_ms: 5000.0,
            },
        ];
        assert_eq!(
            text(&points, 2),
            format!(
                "milliseconds of a core for a run, 2 at a time\n    10 runs    10.00 {}\n  1000 runs     5.00 {}\n",
                "#".repeat(50),
                "#".repeat(25)
            )
        );
        let svg = svg(&points, 2);
        assert!(svg.contains("60.0,") && svg.contains("540.0,"), "{svg}");
    }
}
