//! What a program on the host can do with the device: ask over MEI, and call over the local port with the account
//! that MEI gives out.

use std::time::Duration;

use amt_sim::ClientKind;
use amt_sim::host::port::MeiPort;

use super::local::{Answer, LocalPort, Login, base64_decode};
use super::{Trouble, hex};
use crate::role::agent::{Answer as MeiAnswer, request};

const SERVICE: &str = "ips-schema/1/IPS_HostBasedSetupService";
const RECORD: &str = "ips-schema/1/IPS_ClientProvisioningRecord";
const SETTINGS: &str = "amt-schema/1/AMT_GeneralSettings";
const CLOCK: &str = "amt-schema/1/AMT_TimeSynchronizationService";

/// A program with the rights of the host's administrator.
#[derive(Debug)]
pub(super) struct Host<'a> {
    mei: &'a dyn MeiPort,
    local: &'a dyn LocalPort,
    login: Login,
}

/// IPS_ClientProvisioningRecord.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// ProvCertificateHash, when there is one.
    pub(super) hash: Option<Vec<u8>>,
    /// CreationTimeStamp.
    pub(super) created: String,
}

impl<'a> Host<'a> {
    /// GetLocalSystemAccount: 40 reserved bytes; answer char[33] user, char[33] password.
    pub(super) fn open(mei: &'a dyn MeiPort, local: &'a dyn LocalPort) -> Result<Self, Trouble> {
        let data = ask(mei, 0x67, &[0; 40])?;
        let text = |bytes: Option<&[u8]>| {
            let text = bytes.unwrap_or_default().iter();
            text.take_while(|byte| **byte != 0)
                .map(|byte| char::from(*byte))
                .collect()
        };
        let login = Login {
            user: text(data.get(..33)),
            password: text(data.get(33..66)),
        };
        Ok(Self { mei, local, login })
    }

    pub(super) fn configuration_nonce(&self) -> Result<Vec<u8>, Trouble> {
        self.get(SERVICE)?
            .text("ConfigurationNonce")
            .and_then(|text| base64_decode(&text))
            .ok_or(Trouble::Story("the device shows no ConfigurationNonce"))
    }

    pub(super) fn digest_realm(&self) -> Result<String, Trouble> {
        self.get(SETTINGS)?
            .text("DigestRealm")
            .ok_or(Trouble::Story("the device shows no DigestRealm"))
    }

    /// The record, when there is one: a fault says that there is none.
    pub(super) fn record(&self) -> Result<Option<Record>, Trouble> {
        let answer = self.ask(
            RECORD,
            "http://schemas.xmlsoap.org/ws/2004/09/transfer/Get",
            "",
        )?;
        if answer.status == 400 {
            return Ok(None);
        }
        let answer = good(answer)?;
        Ok(Some(Record {
            hash: answer
                .text("ProvCertificateHash")
                .and_then(|text| base64_decode(&text)),
            created: answer.text("CreationTimeStamp").unwrap_or_default(),
        }))
    }

    pub(super) fn setup(&self, parameters: &str) -> Result<(), Trouble> {
        self.call(SERVICE, "Setup", parameters).map(|_| ())
    }

    /// Sets the device's clock to a date that the device itself wrote.
    pub(super) fn set_clock(&self, date: &str) -> Result<(), Trouble> {
        let then = seconds(date).ok_or(Trouble::Story("the record has no date"))?;
        let now = self.call(CLOCK, "GetLowAccuracyTimeSynch", "")?;
        let now = now.text("Ta0").unwrap_or_default();
        let parameters = format!("<h:Ta0>{now}</h:Ta0><h:Tm1>{then}</h:Tm1><h:Tm2>{then}</h:Tm2>");
        self.call(CLOCK, "SetHighAccuracyTimeSynch", &parameters)
            .map(|_| ())
    }

    /// CFG_Unprovision, mode 0.
    pub(super) fn unprovision(&self) -> Result<(), Trouble> {
        ask(self.mei, 0x10, &[0; 4]).map(|_| ())
    }

    fn get(&self, class: &str) -> Result<Answer, Trouble> {
        good(self.ask(
            class,
            "http://schemas.xmlsoap.org/ws/2004/09/transfer/Get",
            "",
        )?)
    }

    fn call(&self, class: &str, method: &'static str, parameters: &str) -> Result<Answer, Trouble> {
        let uri = format!("http://intel.com/wbem/wscim/1/{class}");
        let body = format!("<h:{method}_INPUT xmlns:h=\"{uri}\">{parameters}</h:{method}_INPUT>");
        let answer = good(self.ask(class, &format!("{uri}/{method}"), &body)?)?;
        let value = answer
            .text("ReturnValue")
            .and_then(|text| text.parse().ok());
        match value {
            Some(0) => Ok(answer),
            Some(value) => Err(Trouble::Refused { method, value }),
            None => Err(Trouble::Answer("without a ReturnValue".to_owned())),
        }
    }

    fn ask(&self, class: &str, action: &str, body: &str) -> Result<Answer, Trouble> {
        let envelope = format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\
             <s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\" \
             xmlns:a=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\" \
             xmlns:w=\"http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd\"><s:Header>\
             <a:Action>{action}</a:Action><a:To>/wsman</a:To>\
             <w:ResourceURI>http://intel.com/wbem/wscim/1/{class}</w:ResourceURI>\
             <a:MessageID>1</a:MessageID><a:ReplyTo><a:Address>\
             http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:Address></a:ReplyTo>\
             </s:Header><s:Body>{body}</s:Body></s:Envelope>"
        );
        self.login.post(self.local, &envelope)
    }
}

fn good(answer: Answer) -> Result<Answer, Trouble> {
    match answer.status {
        200 => Ok(answer),
        status => Err(Trouble::Answer(format!("HTTP status {status}"))),
    }
}

/// One AMTHI command whose status must be 0.
fn ask(mei: &dyn MeiPort, operation: u32, payload: &[u8]) -> Result<Vec<u8>, Trouble> {
    const PATIENCE: Duration = Duration::from_secs(5);
    let trouble = |error: &dyn std::fmt::Display| Trouble::Mei(error.to_string());
    let mut channel = mei
        .connect(ClientKind::Amthi.guid())
        .map_err(|error| trouble(&error))?;
    channel
        .send(&request(operation, payload))
        .map_err(|error| trouble(&error))?;
    let message = channel.receive(PATIENCE).map_err(|error| trouble(&error))?;
    let answer = MeiAnswer::parse(operation, &message).map_err(|error| trouble(&error))?;
    match answer.status {
        0 => Ok(answer.data.to_vec()),
        status => Err(Trouble::Mei(format!(
            "command {operation:#x} is status {} ({})",
            status,
            hex(&status.to_be_bytes())
        ))),
    }
}

/// Seconds since 1970 of `YYYY-MM-DDThh:mm:ssZ`.
fn seconds(date: &str) -> Option<i64> {
    let number = |from: usize, to: usize| date.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    // Counts from March, so that the leap day is the last of its year.
    let (year, month) = match month {
        3.. => (year, month - 3),
        _ => (year - 1, month + 9),
    };
    let days =
        365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 719_469;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("1970-01-01T00:00:00Z", Some(0))]
    #[case("2000-02-29T00:00:00Z", Some(951_782_400))]
    #[case("2026-01-01T12:34:56Z", Some(1_767_225_600 + 45_296))]
    #[case("", None)]
    fn dates(#[case] text: &str, #[case] expected: Option<i64>) {
        assert_eq!(seconds(text), expected);
    }
}
