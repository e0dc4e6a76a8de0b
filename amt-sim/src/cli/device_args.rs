//! The arguments that say which device: the same for every command that needs one.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use amt_sim::device::CertificateHash;
use amt_sim::host::{
    HelloSender, NameRule, Names, Pace, SharedDevice, StateFile, StateFolder, keystore,
};
use amt_sim::{Device, Fault, Preset, Profile, Rules, UnixTime};
use clap::{Args, ValueEnum};

use super::CommandError;

/// Used when neither `--profile` nor a state file names another.
const DEFAULT_PROFILE: &str = "tiger-lake-15";

#[derive(Debug, Args)]
#[command(next_help_heading = "Device")]
pub(crate) struct DeviceArguments {
    /// Firmware generation: a name from `amt-sim profiles`, or a profile file of your own [default: tiger-lake-15]
    #[arg(long, value_name = "NAME|FILE")]
    profile: Option<String>,
    /// The life the device has behind it; only for a device that is new.
    #[arg(long, value_enum, default_value_t = PresetName::Factory)]
    preset: PresetName,
    /// Password of `admin` on a device that is provisioned already [default: P@ssw0rd1]
    #[arg(long, value_name = "P")]
    admin_password: Option<String>,
    /// Keep the device's memory in this file; a file that exists is gone on from. Of many devices: a folder.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Everything that looks random in the device follows from this number; of many devices, the first one's.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Change one key of the profile, as in `network.dhcp_domain=lab.example`; may be given again.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    settings: Vec<(String, String)>,
    /// Trust this root certificate (PEM or DER) for provisioning, as if its hash were typed into MEBx.
    #[arg(long = "trust", value_name = "FILE")]
    trust: Vec<PathBuf>,
    /// Where the device says Hello once set-up over the network started; the port is 9971 unless told. Hello messages
    /// leave this machine only for what is given, here, with --resolve or in the profile.
    #[arg(long, value_name = "HOST[:PORT]")]
    sca: Option<String>,
    /// Address of a name that the device asks the DNS for, as in ProvisionServer.corp.example=127.0.0.1; or `system`, to
    /// ask as this machine does. May be given again. Without it only a name in --sca is looked up, by the system.
    #[arg(long, value_name = "NAME=ADDRESS|system")]
    resolve: Vec<NameRule>,
    /// How time goes by for the device: real, scaled:N for N times as fast, or jump to spend none on making its key.
    #[arg(long, value_name = "PACE", default_value = "real", value_parser = pace)]
    time: Pace,
    /// Write the device's journal to this file, one JSON object a line. Of many devices: a folder.
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    /// Write what goes over the wire to this file, for Wireshark. It holds every password that goes by, and the secrets
    /// of TLS.
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
    /// Misbehave on purpose, as in `connect:amthi=EBUSY*3` or `answer:amthi:0x1a=drop`; may be given again.
    #[arg(long = "fault", value_name = "FAULT")]
    faults: Vec<Fault>,
    /// Do not enforce this rule, as in `device.mei.message-too-long`; may be given again.
    #[arg(long = "without", value_name = "RULE")]
    without: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PresetName {
    /// As it left the factory.
    Factory,
    /// Operational in client control mode.
    Ccm,
    /// Operational in admin control mode.
    Acm,
}

/// Profiles that were read already, by the name that was asked for.
type Profiles = BTreeMap<String, Arc<Profile>>;

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write it as KEY=VALUE".to_owned()),
    }
}

fn pace(text: &str) -> Result<Pace, String> {
    let scaled = text.strip_prefix("scaled:").map(str::parse);
    match (text, scaled) {
        ("real", _) => Ok(Pace::Real),
        ("jump", _) => Ok(Pace::Jump),
        (_, Some(Ok(factor))) if factor > 0 => Ok(Pace::Scaled(factor)),
        _ => Err("write real, jump, or scaled:N with N at least 1".to_owned()),
    }
}

/// The profile with this SCA: `192.0.2.1`, `[2001:db8::1]:9971`, `sca.example:9971`.
fn with_server(profile: Profile, sca: &str) -> Result<Profile, CommandError> {
    let (host, port) = match (sca.parse::<IpAddr>(), sca.rsplit_once(':')) {
        (Err(_), Some((host, port))) => {
            let wrong = || format!("--sca {sca}: {port:?} is no port; write HOST or HOST:PORT");
            (host, Some(port.parse::<u16>().map_err(|_| wrong())?))
        }
        _ => (sca, None),
    };
    let host = host.trim_matches(['[', ']']);
    let mut profile = profile;
    let server = &mut profile.setup_server;
    match host.parse::<IpAddr>() {
        Ok(_) => server.address = host.to_owned(),
        Err(_) => {
            server.address.clear();
            server.fqdn = host.to_owned();
        }
    }
    server.port = port.unwrap_or(server.port);
    Ok(profile)
}

impl DeviceArguments {
    /// The device that these arguments describe, switched on.
    pub(crate) fn power_on(&self) -> Result<SharedDevice, CommandError> {
        let memory = self.state.as_deref().map(StateFile::open).transpose()?;
        let device = self.switch_on(&mut Profiles::default(), self.seed, memory)?;
        if let Some(path) = &self.journal {
            let file = File::create(path).map_err(|error| at(path, error))?;
            device.journal_to(file);
        }
        if let Some(path) = &self.pcap {
            let file = File::create(path).map_err(|error| at(path, error))?;
            device.capture_to(file);
        }
        Ok(device)
    }

    /// So many of them, each with the seed after the one before. State and journal are folders then, with a file for
    /// each, which is called by its seed.
    pub(crate) fn power_on_many(&self, count: u32) -> Result<Vec<SharedDevice>, CommandError> {
        if self.pcap.is_some() {
            return Err("--pcap records one device; leave --devices out"
                .to_owned()
                .into());
        }
        let states = self.state.as_deref().map(StateFolder::open).transpose()?;
        if let Some(folder) = &self.journal {
            fs::create_dir_all(folder).map_err(|error| at(folder, error))?;
        }
        let mut profiles = Profiles::default();
        let mut devices = Vec::with_capacity(count as usize);
        for seed in (self.seed..).take(count as usize) {
            let memory = states
                .as_ref()
                .map(|states| states.file(&format!("seed-{seed}.json")));
            let device = self.switch_on(&mut profiles, seed, memory)?;
            if let Some(folder) = &self.journal {
                let path = folder.join(format!("seed-{seed}.jsonl"));
                let journal = device.journal_at(path.clone());
                journal.map_err(|error| at(&path, error))?;
            }
            devices.push(device);
        }
        Ok(devices)
    }

    fn switch_on(
        &self,
        profiles: &mut Profiles,
        seed: u64,
        memory: Option<StateFile>,
    ) -> Result<SharedDevice, CommandError> {
        let saved = match &memory {
            Some(file) => file.load()?,
            None => None,
        };
        let wanted = match (&self.profile, &saved) {
            (Some(name), _) => name,
            (None, Some(state)) => &state.profile,
            (None, None) => DEFAULT_PROFILE,
        };
        let profile = match profiles.get(wanted) {
            Some(profile) => Arc::clone(profile),
            None => {
                let profile = Arc::new(self.adjusted(load_profile(wanted)?)?);
                profiles.insert(wanted.to_owned(), Arc::clone(&profile));
                profile
            }
        };
        let mut rules = Rules::default();
        for rule in &self.without {
            rules.knock_out(rule)?;
        }
        let mut builder = Device::of(profile)
            .seed(seed)
            .rules(rules)
            .clock(wall_clock());
        for fault in &self.faults {
            builder = builder.fault(fault.clone());
        }
        builder = match saved {
            Some(state) => builder.state(state),
            None => self.new_life(builder),
        };
        let device = SharedDevice::paced(builder.build()?, self.time);
        if let Some(file) = memory {
            device.remember_in(file);
        }
        Ok(device)
    }

    /// The profile with what the other arguments change in it.
    fn adjusted(&self, mut profile: Profile) -> Result<Profile, CommandError> {
        for (key, value) in &self.settings {
            profile = profile.with(key, value)?;
        }
        if let Some(sca) = &self.sca {
            profile = with_server(profile, sca)?;
        }
        for path in &self.trust {
            profile.certificates.custom.push(trusted_root(path)?);
        }
        Ok(profile)
    }

    /// Sends the device's Hello messages from this address.
    pub(crate) fn say_hello(
        &self,
        device: &SharedDevice,
        from: Option<IpAddr>,
    ) -> Result<HelloSender, CommandError> {
        Ok(HelloSender::with_names(device, from, self.names(device))?)
    }

    /// Who knows where the SCA is. A name that was typed in is the system's to know, unless it is told otherwise; the
    /// well-known one is asked for only when somebody wants it.
    pub(crate) fn names(&self, device: &SharedDevice) -> Names {
        let told = device.with(None, |device| {
            !device.profile().setup_server.fqdn.is_empty()
        });
        if self.resolve.is_empty() && told {
            return [NameRule::System].into_iter().collect();
        }
        self.resolve.iter().cloned().collect()
    }

    /// The number that the first device's random-looking things follow from.
    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// The file or folder that the journal is written to.
    pub(crate) fn journal(&self) -> Option<&Path> {
        self.journal.as_deref()
    }

    fn new_life(&self, builder: amt_sim::DeviceBuilder) -> amt_sim::DeviceBuilder {
        let builder = builder.preset(match self.preset {
            PresetName::Factory => Preset::Factory,
            PresetName::Ccm => Preset::Client,
            PresetName::Acm => Preset::Admin,
        });
        match &self.admin_password {
            Some(password) => builder.admin_password(password),
            None => builder,
        }
    }
}

/// A profile by name, or from a file when the name is a path.
pub(crate) fn load_profile(name: &str) -> Result<Profile, CommandError> {
    let is_path = name.contains('/') || name.ends_with(".toml");
    if !is_path {
        return Ok(Profile::builtin(name)?);
    }
    let path = Path::new(name);
    let text = fs::read_to_string(path).map_err(|error| at(path, error))?;
    Ok(Profile::parse(name, &text)?)
}

/// The hash entry of a root certificate in a file.
fn trusted_root(path: &Path) -> Result<CertificateHash, CommandError> {
    let bytes = fs::read(path).map_err(|error| at(path, error))?;
    match keystore::root_hash(&bytes) {
        Some(hash) => Ok(hash),
        None => Err(format!(
            "{}: no certificate in PEM or DER; give the root's own certificate",
            path.display()
        )
        .into()),
    }
}

fn at(path: &Path, error: std::io::Error) -> CommandError {
    format!("{}: {error}", path.display()).into()
}

fn wall_clock() -> UnixTime {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    UnixTime(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
