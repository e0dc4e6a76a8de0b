//! A badge for a README: `badge.svg`, drawn here, and `badge.json`, which shields.io draws.
//!
//! Source of the latter: shields.io, "Endpoint Badge".

use serde_json::{Value, json};

use super::Report;
use crate::run::Verdict;

const LABEL: &str = "AMT conformance";

/// What it says, and its colour by the name that shields.io has for it and as SVG writes it.
fn message(report: &Report) -> (String, &'static str, &'static str) {
    let count = |verdict| report.summary.verdicts.get(&verdict).copied().unwrap_or(0);
    let passed = count(Verdict::Pass) + count(Verdict::Warn);
    let tried = passed + count(Verdict::Fail) + count(Verdict::Inconclusive);
    match report.exit_code {
        0 if report.summary.known_failing > 0 => (
            format!("{passed}/{tried} ({} known)", report.summary.known_failing),
            "yellowgreen",
            "#5a7302",
        ),
        0 => (format!("{passed} passing"), "brightgreen", "#2a7a0c"),
        1 => (
            format!("{} failing of {tried}", report.summary.findings.max(1)),
            "red",
            "#b3271e",
        ),
        2 => ("set-up wrong".to_owned(), "orange", "#a84b00"),
        _ => ("inconclusive".to_owned(), "lightgrey", "#5c5c5c"),
    }
}

/// For the endpoint badge of shields.io.
pub fn badge_json(report: &Report) -> Value {
    let (message, colour, _) = message(report);
    json!({
        "schemaVersion": 1,
        "label": LABEL,
        "message": message,
        "color": colour,
        "isError": report.exit_code == 2,
    })
}

/// A picture that needs nobody.
pub fn badge_svg(report: &Report) -> String {
    let (message, _, colour) = message(report);
    // Verdana at 11 pixels is about seven wide; the text is stretched to exactly this.
    let width = |text: &str| text.chars().count() * 13 / 2 + 10;
    let (left, right) = (width(LABEL), width(&message));
    let total = left + right;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{total}\" height=\"20\" role=\"img\" aria-label=\"{LABEL}: {message}\">\
<title>{LABEL}: {message}</title>\
<clipPath id=\"r\"><rect width=\"{total}\" height=\"20\" rx=\"3\"/></clipPath>\
<g clip-path=\"url(#r)\"><rect width=\"{left}\" height=\"20\" fill=\"#444\"/>\
<rect x=\"{left}\" width=\"{right}\" height=\"20\" fill=\"{colour}\"/></g>\
<g fill=\"#fff\" text-anchor=\"middle\" font-family=\"Verdana,Geneva,DejaVu Sans,sans-serif\" font-size=\"11\">\
<text x=\"{}\" y=\"14\" textLength=\"{}\">{LABEL}</text>\
<text x=\"{}\" y=\"14\" textLength=\"{}\">{message}</text></g></svg>\n",
        left / 2,
        left - 10,
        left + right / 2,
        right - 10,
    )
}
