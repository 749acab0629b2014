//! Files of PAM, as libpam looks for them.

use std::path::Path;

use super::FILE_BYTES_MAX;
use crate::host::root::HostRoot;
use crate::pam::{PamFiles, account_stack};
use crate::paths::pam_gate::Asks;

/// The administrator's directory and the vendors'.
const DIRECTORIES: [&str; 3] = ["/etc/pam.d", "/usr/lib/pam.d", "/usr/etc/pam.d"];

/// PAM of a host.
pub struct HostPam<'r> {
    root: &'r HostRoot,
}

impl<'r> HostPam<'r> {
    /// Nothing is read yet.
    pub const fn new(root: &'r HostRoot) -> Self {
        Self { root }
    }

    /// What a service asks.
    pub fn asks(&self, service: &str) -> Asks {
        let mut files = Files(self.root);
        Asks::Pam {
            service: service.to_owned(),
            stack: account_stack(service.as_bytes(), &mut files),
        }
    }
}

struct Files<'r>(&'r HostRoot);

impl PamFiles for Files<'_> {
    fn read(&mut self, service: &[u8]) -> Result<Option<Vec<u8>>, String> {
        use std::os::unix::ffi::OsStrExt;
        let name = std::ffi::OsStr::from_bytes(service);
        if service.contains(&b'/') || service == b".." {
            return Err(format!("{} is no service", service.escape_ascii()));
        }
        for directory in DIRECTORIES {
            match self
                .0
                .read(&Path::new(directory).join(name), FILE_BYTES_MAX)
            {
                Ok(file) => return Ok(Some(file.bytes)),
                Err(error) if error.is_missing() => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        match self.0.exists(Path::new("/etc/pam.d")) {
            Ok(true) => Ok(None),
            Ok(false) => Err("there is no /etc/pam.d, and /etc/pam.conf is not read".into()),
            Err(error) => Err(error.to_string()),
        }
    }
}
