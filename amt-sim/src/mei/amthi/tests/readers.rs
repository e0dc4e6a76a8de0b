//! The programs in the field as readers: each parses as its original does, with that original's blind spots.

use super::*;
use crate::device::{Mode, Profile};
use crate::mei::testing::{firmware, profile};

fn answer(fw: &mut Firmware, operation: u8, data: &[u8]) -> Vec<u8> {
    crate::mei::amthi::receive(fw, &request(operation, data)).remove(0)
}

fn u16_at(bytes: &[u8], at: usize) -> usize {
    usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// The strictest small client: Linux `samples/mei/mei-amt-version.c`.
fn kernel_sample(answer: &[u8]) -> Vec<(String, String)> {
    let length = u32_at(answer, 8) as usize;
    assert_eq!(answer.len(), length + 12);
    assert_eq!((answer[0], answer[2], answer[3]), (1, 0, 0));
    assert!(answer[1] >= 1);
    assert_eq!(u32_at(answer, 4), 0x0480_001a);
    assert_eq!(u32_at(answer, 12), 0);
    let count = u32_at(answer, 16 + 65) as usize;
    assert_eq!(count, (length - 4 - 65 - 4) / 44);
    let text = |at: usize| {
        let length = u16_at(answer, at);
        let field = &answer[at + 2..at + 22];
        let end = field.iter().position(|byte| *byte == 0);
        assert_eq!(end, Some(length), "strlen must be the length");
        String::from_utf8(field[..length].to_vec()).unwrap()
    };
    (0..count)
        .map(|index| (text(85 + index * 44), text(85 + index * 44 + 22)))
        .collect()
}

/// rpc-go: a buffer of the client's longest message, zeros where nothing came, lengths of versions ignored.
struct RpcGo(Vec<u8>);

impl RpcGo {
    fn of(answer: &[u8]) -> Self {
        let mut buffer = answer.to_vec();
        assert!(buffer.len() <= 5120);
        buffer.resize(5120, 0);
        Self(buffer)
    }

    fn version(&self, name: &str) -> Option<String> {
        let count = u32_at(&self.0, 81) as usize;
        assert!(count <= 50, "it would panic");
        (0..count).find_map(|index| {
            let at = 85 + index * 44;
            let length = u16_at(&self.0, at);
            assert!(length <= 20, "it would panic");
            if &self.0[at + 2..at + 2 + length] != name.as_bytes() {
                return None;
            }
            let version = &self.0[at + 24..at + 44];
            let text = version.iter().filter(|byte| **byte != 0).copied().collect();
            Some(String::from_utf8(text).unwrap())
        })
    }

    fn handles(&self) -> Vec<u32> {
        let count = u32_at(&self.0, 16) as usize;
        assert!(count <= 33, "it would panic");
        (0..count)
            .map(|index| u32_at(&self.0, 20 + index * 4))
            .collect()
    }

    fn text(&self, at: usize) -> String {
        let length = u16_at(&self.0, at);
        assert!(length <= 1000, "it would panic");
        String::from_utf8(self.0[at + 2..at + 2 + length].to_vec()).unwrap()
    }
}

/// LMS: exact length, and a string that starts with the low byte of its length and ends with the message.
fn lms_text(answer: &[u8], at: usize) -> String {
    assert_eq!(u32_at(answer, 8) as usize, answer.len() - 12);
    assert_eq!(u32_at(answer, 12), 0);
    let count = usize::from(answer[at]);
    if count == 0 {
        return String::new();
    }
    assert!(at + 2 + count <= answer.len());
    String::from_utf8(answer[at + 2..].to_vec()).unwrap()
}

#[test]
fn versions_of_every_profile_are_read_alike() {
    for file in fixtures::PROFILES {
        let profile = Profile::builtin(file.name).unwrap();
        let mut fw = firmware(profile.clone(), Mode::PreProvisioning);
        let answer = answer(&mut fw, 0x1a, &[]);
        let strict = kernel_sample(&answer);
        let rpc = RpcGo::of(&answer);
        for (name, version) in &strict {
            assert_eq!(rpc.version(name).as_ref(), Some(version), "{}", file.name);
        }
        assert_eq!(rpc.version("AMT").unwrap(), profile.firmware.amt);
        assert_eq!(rpc.version("Build Number").unwrap(), profile.firmware.build);
        let sku = rpc.version("Sku").unwrap();
        assert!(!sku.starts_with('0'), "it would read octal");
        assert_eq!(sku.parse(), Ok(profile.firmware.sku));
    }
}

#[test]
fn hashes_of_every_profile_are_read_alike() {
    for file in fixtures::PROFILES {
        let mut fw = firmware(Profile::builtin(file.name).unwrap(), Mode::PreProvisioning);
        let handles = RpcGo::of(&answer(&mut fw, 0x2c, &[])).handles();
        assert_eq!(handles.len(), fw.state.hashes.len());
        for handle in handles {
            let message = answer(&mut fw, 0x2d, &handle.to_le_bytes());
            let rpc = RpcGo::of(&message);
            let expected = fw.state.hashes[handle as usize].clone();
            assert_eq!(rpc.text(89), expected.name);
            assert_eq!(lms_text(&message, 89), expected.name);
            assert_eq!(rpc.0[88], expected.algorithm as u8);
            let digest = &rpc.0[24..24 + expected.algorithm.size()];
            assert_eq!(crate::hex::encode(digest), expected.hash);
            assert_eq!((u32_at(&rpc.0, 16), u32_at(&rpc.0, 20)), (1, 1));
        }
    }
}

#[test]
fn strings_are_read_alike() {
    let mut profile = profile();
    profile.remote_access.server = "mps.corp.example".into();
    profile.setup_server.fqdn = "sca.corp.example".into();
    let mut fw = firmware(profile.clone(), Mode::Admin);
    for (operation, at, expected) in [
        (0x36, 16, "corp.example"),
        (0x46, 28, "mps.corp.example"),
        (0x06, 40, "corp.example"),
        (0x56, 36, "vpro-rpl.corp.example"),
        (0x47, 16, profile.platform.power_policy.as_str()),
        (0x4e, 64, "sca.corp.example"),
    ] {
        let message = answer(&mut fw, operation, &[]);
        assert_eq!(lms_text(&message, at), expected, "{operation:#x}");
        assert_eq!(RpcGo::of(&message).text(at), expected, "{operation:#x}");
    }
}

/// MeshAgent `modules/amt-mei.js`: sizes of data after the status, and what it cuts out of them.
#[test]
fn meshagent_finds_its_sizes() {
    let mut fw = firmware(profile(), Mode::Admin);
    let data = answer(&mut fw, 0x67, &[0; 40])[16..].to_vec();
    assert_eq!(data.len(), 68);
    let until_nul = |bytes: &[u8]| {
        let end = bytes
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(bytes.len());
        String::from_utf8(bytes[..end].to_vec()).unwrap()
    };
    assert_eq!(until_nul(&data[..33]), "$$OsAdmin");
    assert_eq!(until_nul(&data[33..67]), fw.local_account.password);

    let data = answer(&mut fw, 0x48, &[0; 4])[16..].to_vec();
    assert_eq!(data[14..], [2, 0, 0x5e, 0x10, 0, 0x11]);
    let data = answer(&mut fw, 0x08, &[])[16..].to_vec();
    assert_eq!(data.len(), 8);
}

/// LMS takes a name of GetDNSSuffixList when it meets the NUL behind it.
#[test]
fn lms_finds_every_domain() {
    let mut profile = profile();
    profile.network.intranet_domains = vec!["corp.example".into(), "lab.example".into()];
    let mut fw = firmware(profile, Mode::Admin);
    let message = answer(&mut fw, 0x3e, &[]);
    assert_eq!(u16_at(&message, 16), message.len() - 18);
    let mut names = Vec::new();
    let mut name = String::new();
    for byte in &message[18..] {
        match byte {
            0 => names.push(std::mem::take(&mut name)),
            letter => name.push(char::from(*letter)),
        }
    }
    assert_eq!(names, ["corp.example", "lab.example"]);
}
