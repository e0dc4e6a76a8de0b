//! The attributes that the MEI driver shows in `/sys/class/mei/mei0`, written once, when the program starts.
//!
//! They do not follow the device: `dev_state` stays `ENABLED` through a link reset, and writing
//! `tx_queue_limit` changes the file only.
//!
//! Source: Linux `drivers/misc/mei/main.c`, `Documentation/ABI/testing/sysfs-class-mei`.

use crate::machine::Device;

/// Names and contents.
pub(super) fn attributes(device: &Device) -> Vec<(&'static str, String)> {
    let profile = device.profile();
    let firmware = &profile.firmware;
    let version = |text: &str, build: &str| {
        let mut parts = text.split('.').map(|part| part.parse::<u16>().unwrap_or(0));
        let mut next = || parts.next().unwrap_or(0);
        let (major, minor, hotfix) = (next(), next(), next());
        let build: u16 = build.parse().unwrap_or(0);
        format!("0:{major}.{minor}.{hotfix}.{build}\n")
    };
    let running = version(&firmware.amt, &firmware.build);
    let recovery = version(&firmware.recovery, &firmware.recovery_build);
    vec![
        ("dev_state", "ENABLED".to_owned()),
        ("fw_status", fw_status()),
        // Main, recovery, and the image as it was first flashed, which we take for the recovery's.
        ("fw_ver", format!("{running}{recovery}{recovery}")),
        ("hbm_ver", format!("{}\n", profile.mei.hbm_version)),
        ("hbm_ver_drv", format!("{HBM_OF_THE_DRIVER}\n")),
        ("kind", "mei\n".to_owned()),
        ("trc", "00000000\n".to_owned()),
        ("tx_queue_limit", format!("{}\n", profile.mei.tx_queue)),
    ]
}

/// `HBM_MAJOR_VERSION.HBM_MINOR_VERSION` of Linux 5.10 and later.
const HBM_OF_THE_DRIVER: &str = "2.2";

/// Six registers, of which the first says what everybody asks: working state 5 (normal, bits 0 to 3), operation
/// state 1 (M0 with memory, bits 6 to 8), initialisation complete (bit 9). The bits are those of coreboot's
/// `me_hfsts1`; the other registers differ from machine to machine and are shown as 0.
fn fw_status() -> String {
    let first: u32 = 5 | 1 << 6 | 1 << 9;
    let registers = [first, 0, 0, 0, 0, 0];
    registers.map(|value| format!("{value:08X}\n")).concat()
}

/// `/sys/class/dmi/id/product_uuid`: the same machine on both sides.
pub(super) fn product_uuid(device: &Device) -> String {
    format!("{}\n", device.identity().uuid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_attributes_say_what_the_profile_says() {
        let device = Device::builder("tiger-lake-15").build().unwrap();
        let text: String = attributes(&device)
            .into_iter()
            .map(|(name, contents)| format!("{name}: {contents:?}\n"))
            .collect();
        insta::assert_snapshot!(text, @r#"
        dev_state: "ENABLED"
        fw_status: "00000245\n00000000\n00000000\n00000000\n00000000\n00000000\n"
        fw_ver: "0:15.0.35.2039\n0:15.0.35.2039\n0:15.0.35.2039\n"
        hbm_ver: "2.2\n"
        hbm_ver_drv: "2.2\n"
        kind: "mei\n"
        trc: "00000000\n"
        tx_queue_limit: "50\n"
        "#);
    }

    #[test]
    fn a_reader_of_one_register_finds_it_at_nine_bytes_a_line() {
        let text = fw_status();
        assert_eq!(text.len(), 6 * 9);
        assert_eq!(&text[..9], "00000245\n");
    }

    #[test]
    fn the_uuid_is_the_devices_in_lower_case() {
        let device = Device::builder("tiger-lake-15").build().unwrap();
        let text = product_uuid(&device);
        assert_eq!(text.trim_end(), device.identity().uuid.to_string());
        assert_eq!(text, text.to_lowercase());
    }
}
