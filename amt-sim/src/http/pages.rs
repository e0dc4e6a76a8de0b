//! The few pages for people. The real ones have pictures and forms; these have what programs look for in them:
//! the product's name in the title, the version, the message, and `</html>` at the end.

use super::response::server;
use crate::device::{ControlMode, Firmware};

/// What firmware tells one who is not let in. Programs search for it.
pub(super) const LOG_ON_FAILED: &str =
    "Log on failed. Incorrect user name or password, or user account temporarily locked.";

/// A page that says one thing.
pub(super) fn message(text: &str) -> String {
    html(
        "Intel&reg; Active Management Technology",
        &format!(
            "<h2>{}</h2>\n<p><a href=\"/index.htm\">Try again</a></p>\n",
            escape(text)
        ),
    )
}

/// What a visitor sees first.
pub(super) fn log_on(fw: &Firmware) -> String {
    html(
        &server(fw),
        "<h2>Log On</h2>\n<p>Log on to Intel&reg; Active Management Technology on this computer.</p>\n\
         <form method=\"get\" action=\"/index.htm\"><input type=\"submit\" value=\"Log On...\"></form>\n",
    )
}

/// What an administrator sees first.
pub(super) fn status(fw: &Firmware) -> String {
    let mode = match fw.mode().control_mode() {
        ControlMode::None => "not activated",
        ControlMode::Client => "client control mode",
        ControlMode::Admin => "admin control mode",
    };
    let time = fw.clock().civil();
    let rows = [
        ("Computer", fw.profile.network.hostname.clone()),
        ("System ID", fw.identity.uuid.to_string()),
        (
            "Date",
            format!("{:04}-{:02}-{:02}", time.year, time.month, time.day),
        ),
        ("Version", fw.profile.firmware.amt.clone()),
        ("Control mode", mode.to_owned()),
    ];
    let rows: String = rows
        .iter()
        .map(|(name, value)| format!("<tr><th>{name}</th><td>{}</td></tr>\n", escape(value)))
        .collect();
    html(
        &server(fw),
        &format!("<h2>System Status</h2>\n<table>\n{rows}</table>\n"),
    )
}

fn html(title: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html><head><meta http-equiv=\"Content-Type\" content=\"text/html; charset=utf-8\">\n\
         <title>{title}</title></head>\n<body>\n<h1>Intel&reg; Active Management Technology</h1>\n{body}</body>\n</html>\n"
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
