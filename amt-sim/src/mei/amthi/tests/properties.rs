//! What holds for every message, mode and profile.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::device::{Mode, Profile};
use crate::mei::amthi::frame::Header;
use crate::mei::amthi::table::{COMMANDS, Effect, Request};
use crate::mei::testing::{firmware, profile};
use crate::mei::{ClientKind, hotham, mkhi, upid, watchdog};

fn modes() -> impl Strategy<Value = Mode> {
    select(Mode::ALL.to_vec())
}

fn profiles() -> impl Strategy<Value = Profile> {
    let files = fixtures::PROFILES.iter();
    let profiles: Vec<_> = files
        .map(|file| Profile::builtin(file.name).unwrap())
        .collect();
    select(profiles)
}

/// Requests that are nearly right: a known command, data of nearly its size.
fn requests() -> impl Strategy<Value = Vec<u8>> {
    let known = (
        select((0..COMMANDS.len()).collect::<Vec<_>>()),
        vec(any::<u8>(), 0..64),
        -1i64..2,
    )
        .prop_map(|(row, noise, off)| {
            let command = &COMMANDS[row];
            let size = match command.request {
                Request::Bytes(size) => size,
                Request::OneOf(sizes) => sizes[noise.len() % sizes.len()],
                Request::Text => 0,
            };
            let mut data: Vec<u8> = noise.iter().cycle().take(size).copied().collect();
            data.resize(size, 0);
            if command.request == Request::Text {
                data = (noise.len() as u16).to_le_bytes().to_vec();
                data.extend(&noise);
            }
            let length = (data.len() as i64 + if noise.len() % 5 == 0 { off } else { 0 }) as u32;
            let mut out = Header::new(command.id, length).to_wire().to_vec();
            out.extend(data);
            out
        });
    prop_oneof![3 => known, 1 => vec(any::<u8>(), 0..80)]
}

fn assert_consistent(answers: &[Vec<u8>]) {
    for answer in answers.iter().filter(|answer| !answer.is_empty()) {
        let (header, data) = Header::split(answer).unwrap();
        assert!(header.is_current() && header.command.is_response());
        assert_eq!(header.length as usize, data.len());
        assert!(data.len() >= 4);
        if data[..4] != [0; 4] {
            assert_eq!(data.len(), 4, "an error carries no data");
        }
    }
}

proptest! {
    #[test]
    fn no_message_breaks_amthi(
        profile in profiles(),
        mode in modes(),
        messages in vec(requests(), 1..12),
    ) {
        let mut fw = firmware(profile, mode);
        for message in messages {
            assert_consistent(&crate::mei::amthi::receive(&mut fw, &message));
        }
        fw.state.mode = Mode::PreProvisioning;
        prop_assert_eq!(status(&mut fw, &request(0x5c, &[])), 0);
    }

    #[test]
    fn no_message_breaks_the_small_clients(
        profile in profiles(),
        mode in modes(),
        messages in vec(vec(any::<u8>(), 0..40), 1..12),
    ) {
        let mut fw = firmware(profile, mode);
        for message in messages {
            for mut answer in [
                watchdog::receive(&mut fw, &message),
                mkhi::receive(&mut fw, ClientKind::Mkhi, &message),
                mkhi::receive(&mut fw, ClientKind::MkhiFixed, &message),
                upid::receive(&mut fw, &message),
                hotham::receive(&mut fw, &message),
            ].into_iter().flatten() {
                mkhi::set_status(&mut answer, 0x88);
            }
            let _ = mkhi::command_number(&message);
        }
        fw.state.mode = Mode::PreProvisioning;
        prop_assert_eq!(status(&mut fw, &request(0x5c, &[])), 0);
    }

    /// The column "effect" of the command table says the truth.
    #[test]
    fn commands_change_what_the_table_says(mode in modes(), message in requests()) {
        let mut fw = firmware(profile(), mode);
        let before = fw.state.clone();
        let _ = crate::mei::amthi::receive(&mut fw, &message);
        let effect = Header::split(&message)
            .and_then(|(header, _)| COMMANDS.iter().find(|row| row.id == header.command))
            .map(|row| row.effect);
        match effect {
            None | Some(Effect::Reads) => {
                prop_assert_eq!(&fw.state, &before);
                prop_assert!(!fw.dirty);
            }
            Some(Effect::Settings) => prop_assert_eq!(fw.state.mode, before.mode),
            Some(Effect::Mode) => {}
        }
    }

    /// Whatever a valid profile says, reads answer and readers of strings find them whole.
    #[test]
    fn reads_answer_for_every_valid_profile(
        mode in modes(),
        hostname in "[ -~]{0,63}",
        domain in "[ -~]{0,191}",
        suffix in "[ -~]{0,223}",
        server in "[ -~]{0,255}",
        bios in "[ -~]{0,64}",
        build in "[0-9]{1,19}",
        sku in any::<u32>(),
        environment in 0u32..4,
        bits: [bool; 6],
    ) {
        let mut profile = profile();
        profile.network.hostname = hostname;
        profile.network.dhcp_domain = domain;
        profile.network.pki_dns_suffix = suffix.clone();
        profile.network.environment = environment;
        profile.remote_access.server = server;
        profile.firmware.bios = bios;
        profile.firmware.build = build;
        profile.firmware.sku = sku;
        profile.features.sol = bits[0];
        profile.features.kvm = bits[1];
        profile.capabilities.local_tls_enforced = bits[2];
        if bits[3] {
            profile.network.wired = None;
        }
        if bits[4] {
            profile.network.wireless = None;
        }
        profile.network.shared_fqdn = bits[5];
        let profile = Profile::parse("random", &profile.to_toml()).unwrap();
        let mut fw = firmware(profile, mode);
        for row in COMMANDS.iter().filter(|row| row.effect == Effect::Reads) {
            let Request::Bytes(size) = row.request else { continue };
            let message = crate::mei::amthi::frame::request(row.id, &vec![0; size]);
            let answers = crate::mei::amthi::receive(&mut fw, &message);
            assert_consistent(&answers);
            prop_assert!(answers[0].len() <= 5120, "{}", row.name);
        }
        let answer = crate::mei::amthi::receive(&mut fw, &request(0x36, &[])).remove(0);
        prop_assert_eq!(&answer[18..], suffix.as_bytes());
        prop_assert_eq!(usize::from(answer[16]), suffix.len());
    }
}
