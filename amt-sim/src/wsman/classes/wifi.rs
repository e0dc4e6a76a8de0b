//! Wireless ports and profiles.

use crate::wsman::call::Method;
use crate::wsman::provider::{Live, Provider};

pub(crate) const METHODS: &[Method] = &[];
pub(crate) const PROVIDERS: &[Provider] = &[];
pub(crate) const LIVE: &[Live] = &[];
