//! What was answered, and where in it to look.

use super::draft::PREFIXES;
use super::script::Path;
use super::xml::{Envelope, Node};
use crate::probe::player::{Wrong, wrong};
use crate::wire::http::Response;

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) text: String,
    /// Or why there is none.
    pub(super) envelope: Result<Envelope, String>,
    /// Which instance of several is looked at, from zero.
    pub(super) item: usize,
}

impl Answer {
    pub(super) fn of(response: &Response) -> Self {
        let text = String::from_utf8_lossy(&response.body).into_owned();
        Self {
            status: response.status,
            envelope: Envelope::parse(&text),
            text,
            item: 0,
        }
    }

    pub(super) fn envelope(&self) -> Result<&Envelope, Wrong> {
        self.envelope
            .as_ref()
            .map_err(|_| ("an envelope".to_owned(), self.outcome()))
    }

    pub(super) fn fault(&self) -> Option<(&str, &str)> {
        let fault = self.envelope.as_ref().ok()?.fault.as_ref();
        fault.map(|(namespace, name)| (namespace.as_str(), name.as_str()))
    }

    pub(super) fn body(&self) -> Result<&Node, Wrong> {
        match &self.envelope()?.body {
            Some(body) => Ok(body),
            None => Err(wrong("something in the Body", "nothing")),
        }
    }

    pub(super) fn items(&self) -> Result<&[Node], Wrong> {
        match self.body()?.child("Items") {
            Some(items) => Ok(&items.children),
            None => Err(("Items".to_owned(), self.outcome())),
        }
    }

    /// What names of properties are about: an instance, the output of a method, a fault.
    pub(super) fn subject(&self) -> Result<&Node, Wrong> {
        let body = self.body()?;
        match body.child("Items") {
            Some(items) => items
                .children
                .get(self.item)
                .ok_or_else(|| wrong("an instance", "there is none")),
            None => Ok(body),
        }
    }

    pub(super) fn values(&self, path: &Path) -> Result<Vec<String>, Wrong> {
        if let Some((first, rest)) = path.names.split_first()
            && first == "Header"
        {
            let path = Path {
                names: rest.to_vec(),
                selector: path.selector.clone(),
            };
            return Ok(self.envelope()?.header.values(&path));
        }
        Ok(self.subject()?.values(path))
    }

    pub(super) fn names(&self) -> Result<Vec<String>, Wrong> {
        Ok(self
            .subject()?
            .children
            .iter()
            .map(|child| child.name.clone())
            .collect())
    }

    pub(super) fn return_value(&self) -> Option<String> {
        let body = self.envelope.as_ref().ok()?.body.as_ref()?;
        body.child("ReturnValue").map(|value| value.text.clone())
    }

    /// In a few words.
    pub(super) fn outcome(&self) -> String {
        let status = self.status;
        match (&self.envelope, self.return_value()) {
            (
                Ok(Envelope {
                    fault: Some((namespace, name)),
                    ..
                }),
                _,
            ) => {
                let prefix = PREFIXES.iter().find(|(_, known)| known == namespace);
                let prefix = prefix.map_or(namespace.as_str(), |(prefix, _)| prefix);
                format!("fault {prefix}:{name} with HTTP status {status}")
            }
            (Ok(_), Some(value)) => format!("return value {value}"),
            (
                Ok(Envelope {
                    body: Some(body), ..
                }),
                None,
            ) => format!("{} with HTTP status {status}", body.name),
            (Ok(_), None) => format!("an empty Body with HTTP status {status}"),
            (Err(why), _) => format!("HTTP status {status} and {why}"),
        }
    }
}

pub(super) fn shown(values: &[String]) -> String {
    match values {
        [] => "nothing".to_owned(),
        values => values
            .iter()
            .map(|value| format!("{value:?}"))
            .collect::<Vec<_>>()
            .join(" "),
    }
}
