//! What a MeshCentral server is told before it starts: its settings, and device groups with their AMT policy.

use serde_json::{Value, json};

/// Password of `admin` that the policies set.
pub(super) const PASSWORD: &str = "Interop-1-Sim";

/// Whom the provisioning certificate speaks for. MeshCentral wants the whole name to be the device's DNS suffix.
pub(super) const DNS_SUFFIX: &str = "corp.example";

/// What a group does with a device that shows up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Policy {
    Deactivate = 1,
    Client = 2,
    Admin = 3,
}

/// Which programs a group takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Members {
    /// Devices alone, brought by MeshCmd.
    Devices = 1,
    /// Machines with a MeshAgent.
    Agents = 2,
}

/// A device group. Its id is 48 bytes: three bytes, sixteen times over.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group {
    /// The three bytes as MeshCentral's base64 writes them.
    letters: &'static str,
    /// And in hexadecimal digits.
    digits: &'static str,
    pub(super) policy: Policy,
    pub(super) members: Members,
    /// The domain that its server knows it in; empty is the first.
    pub(super) domain: &'static str,
    /// Whether devices are told to call the server's MPS.
    pub(super) cira: bool,
}

/// The domain in which devices with AMT 14 or newer are activated over TLS.
pub(super) const TLS_DOMAIN: &str = "tls";

pub(super) const DEVICES_CLIENT: Group = Group {
    letters: "CCMC",
    digits: "082302",
    policy: Policy::Client,
    members: Members::Devices,
    domain: "",
    cira: false,
};
pub(super) const DEVICES_ADMIN: Group = Group {
    letters: "ACMC",
    digits: "002302",
    policy: Policy::Admin,
    members: Members::Devices,
    domain: "",
    cira: false,
};
pub(super) const AGENTS_CLIENT: Group = Group {
    letters: "CCMA",
    digits: "082300",
    policy: Policy::Client,
    members: Members::Agents,
    domain: "",
    cira: false,
};
pub(super) const AGENTS_ADMIN: Group = Group {
    letters: "ACMA",
    digits: "002300",
    policy: Policy::Admin,
    members: Members::Agents,
    domain: "",
    cira: false,
};
pub(super) const AGENTS_OFF: Group = Group {
    letters: "OFFA",
    digits: "385140",
    policy: Policy::Deactivate,
    members: Members::Agents,
    domain: "",
    cira: false,
};
pub(super) const AGENTS_TLS: Group = Group {
    letters: "TLSA",
    digits: "4CB480",
    policy: Policy::Admin,
    members: Members::Agents,
    domain: TLS_DOMAIN,
    cira: true,
};

pub(super) const GROUPS: &[Group] = &[
    DEVICES_CLIENT,
    DEVICES_ADMIN,
    AGENTS_CLIENT,
    AGENTS_ADMIN,
    AGENTS_OFF,
    AGENTS_TLS,
];

impl Group {
    /// As `meshcmd amtconfig --id` takes it.
    pub(super) fn id(&self) -> String {
        self.letters.repeat(16)
    }

    /// As an agent's settings file has it.
    pub(super) fn digits(&self) -> String {
        self.digits.repeat(16)
    }

    /// Where the server answers for it: empty or a folder.
    pub(super) fn path(&self) -> String {
        match self.domain {
            "" => String::new(),
            domain => format!("{domain}/"),
        }
    }

    /// The group as the server keeps it in its database.
    fn record(&self) -> Value {
        json!({
            "type": "mesh",
            "_id": format!("mesh/{}/{}", self.domain, self.id()),
            "name": self.letters,
            "mtype": self.members as u8,
            "desc": "",
            "domain": self.domain,
            "links": {},
            "creation": 1,
            "amt": {
                "type": self.policy as u8,
                "badpass": 0,
                // 2 is yes.
                "cirasetup": if self.cira { 2 } else { 0 },
                "ccm": 0,
                "password": PASSWORD,
            },
        })
    }
}

/// The database of a server that has never run: one line a group.
pub(super) fn database() -> String {
    let mut text = String::new();
    for group in GROUPS {
        text.push_str(&group.record().to_string());
        text.push('\n');
    }
    text
}

/// Where the server hears Hello messages.
pub(super) const HELLO_PORT: u16 = 9971;

/// The file in which a domain's activations are written down.
pub(super) fn activation_log(domain: &str) -> String {
    format!("amtactivation{domain}.log")
}

/// The settings file. `certificates` is the folder that `amt-sim ca export` wrote.
pub(super) fn settings(folder: &str, certificates: &str) -> Value {
    let chain =
        ["leaf.pem", "intermediate.pem", "root.pem"].map(|file| format!("{certificates}/{file}"));
    let domain = |name: &str, over_tls: bool| {
        json!({
            "newAccounts": false,
            "amtManager": { "tlsAcmActivation": over_tls },
            "amtAcmActivation": {
                "log": activation_log(name),
                "certs": { "sim": {
                    "certfiles": chain,
                    "keyfile": format!("{certificates}/key.pem"),
                } },
            },
        })
    };
    json!({
        "settings": {
            "datapath": format!("{folder}/data"),
            "filespath": format!("{folder}/files"),
            // With a dot in the name the server works for the Internet too, and only then has an MPS.
            "cert": "mc.corp.example",
            "port": super::PORT,
            "portBind": "127.0.0.1",
            "exactPorts": true,
            "redirPort": 0,
            "mpsPort": 44330,
            "mpsPortBind": "127.0.0.1",
            "selfUpdate": false,
            "noAgentUpdate": 1,
            "agentUpdateSystem": 0,
            "meshScanner": false,
            "amtScanner": false,
            "no2FactorAuth": true,
            "autoBackup": false,
            "agentTimeStampServer": false,
            "sessionKey": "interop",
            // Where devices say Hello. Without any of these strings the server does not listen.
            "amtProvisioningServer": {
                "port": HELLO_PORT,
                "deviceGroup": format!("mesh//{}", DEVICES_ADMIN.id()),
                "newMebxPassword": PASSWORD,
                "trustedFqdn": DNS_SUFFIX,
                "ip": "127.0.0.1",
            },
            // Every step, on standard output.
            "debug": "amt,amtsca,mps,cert",
        },
        "domains": { "": domain("", false), TLS_DOMAIN: domain(TLS_DOMAIN, true) },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reverse of base64 for four letters.
    fn bytes(letters: &str) -> String {
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789@$";
        let number = letters.chars().fold(0_u32, |number, letter| {
            let six = alphabet.find(letter).unwrap_or_default();
            number << 6 | u32::try_from(six).unwrap_or_default()
        });
        format!("{number:06X}")
    }

    #[test]
    fn both_spellings_of_a_group_are_the_same_bytes() {
        for group in GROUPS {
            assert_eq!(bytes(group.letters), group.digits, "{}", group.letters);
            assert_eq!(group.id().len(), 64);
            assert_eq!(group.digits().len(), 96);
        }
    }
}
