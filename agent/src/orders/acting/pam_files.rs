//! Files of PAM, as libpam looks for them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use super::FILE_BYTES_MAX;
use crate::host::root::HostRoot;
use crate::pam::{PamFiles, Service, account_stack};
use crate::paths::pam_gate::Asks;

/// The administrator's directory and the vendors'.
const DIRECTORIES: [&str; 3] = ["/etc/pam.d", "/usr/lib/pam.d", "/usr/etc/pam.d"];

/// PAM of a host; each file is read once.
pub struct HostPam<'r> {
    root: &'r HostRoot,
    known: RefCell<BTreeMap<Vec<u8>, File>>,
}

/// A file's content, that there is none, or why it cannot be read.
type File = Result<Option<Vec<u8>>, String>;

impl<'r> HostPam<'r> {
    /// Nothing is read yet.
    pub const fn new(root: &'r HostRoot) -> Self {
        Self {
            root,
            known: RefCell::new(BTreeMap::new()),
        }
    }

    /// What a service asks.
    pub fn asks(&self, service: &str) -> Asks {
        Asks::Pam {
            service: service.to_owned(),
            stack: account_stack(service.as_bytes(), &mut Files(self)),
        }
    }

    /// What a service that somebody is at asks.
    pub fn service(&self, name: &[u8]) -> Service {
        Service::read(name, &mut Files(self))
    }

    /// Whether there is such a service.
    pub fn has(&self, service: &str) -> bool {
        !matches!(Files(self).read(service.as_bytes()), Ok(None))
    }

    fn read(&self, service: &[u8]) -> File {
        use std::os::unix::ffi::OsStrExt;
        let name = std::ffi::OsStr::from_bytes(service);
        if service.contains(&b'/') || service == b".." {
            return Err(format!("{} is no service", service.escape_ascii()));
        }
        for directory in DIRECTORIES {
            match self
                .root
                .read(&Path::new(directory).join(name), FILE_BYTES_MAX)
            {
                Ok(file) => return Ok(Some(file.bytes)),
                Err(error) if error.is_missing() => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        match self.root.exists(Path::new("/etc/pam.d")) {
            Ok(true) => Ok(None),
            Ok(false) => Err("there is no /etc/pam.d, and /etc/pam.conf is not read".into()),
            Err(error) => Err(error.to_string()),
        }
    }
}

struct Files<'p, 'r>(&'p HostPam<'r>);

impl PamFiles for Files<'_, '_> {
    fn read(&mut self, service: &[u8]) -> File {
        let known = self.0.known.borrow().get(service).cloned();
        known.unwrap_or_else(|| {
            let file = self.0.read(service);
            let mut known = self.0.known.borrow_mut();
            known.insert(service.to_vec(), file.clone());
            file
        })
    }
}
