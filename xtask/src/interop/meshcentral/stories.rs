//! The harness's stories with MeshCentral as the SCA: `conformance run --target meshcentral`, which starts a server of
//! its own for each story.

use std::ffi::OsStr;
use std::path::Path;

use anyhow::{Result, ensure};

use super::namespace::Namespace;
use super::server::scripts;
use crate::interop::tools;

/// The legacy flow, a caller that the server takes no notice of, and what it is known to get wrong.
const STORIES: &str = "flow.legacy, sca.returns, sca.hello-version-4, sca.other-password";

/// A story takes half a minute where nothing else goes on; making certificates takes most of it.
const WITHIN: u64 = 900;

pub(super) fn run(conformance: &Path, package: &Path) -> Result<()> {
    let folder = tools::clean_folder("meshcentral-stories")?;
    // Each server has the same ports as all others: these are alone.
    let namespace = Namespace::new(&folder, &scripts().join("dmidecode"))?;
    let mut words = vec![conformance.as_os_str()];
    words.extend(["run", "--target", "meshcentral", "--filter", STORIES].map(OsStr::new));
    words.extend(["--profile", "tiger-lake-15", "--report", "report"].map(OsStr::new));
    let variables = [("MESHCENTRAL", package.as_os_str())];
    let log = folder.join("stories.log");
    let mut program = namespace.start(&words, &variables, &folder, &log)?;
    let code = program.finish(WITHIN)?;
    ensure!(
        code == Some(0),
        "ended with {code:?}; it printed:\n{}",
        program.tail()
    );
    Ok(())
}
