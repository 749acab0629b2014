//! A file system that never answers: what a dead NFS server looks like to whoever has it mounted.

use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// A FUSE file system that greets the kernel and then answers nothing; gone when it is dropped.
pub struct Silent {
    at: PathBuf,
    device: Option<File>,
}

impl Silent {
    /// Mounts it. Needs root, /dev/fuse, and a mount namespace that is nobody else's.
    pub fn mount(at: &Path) -> Result<Self, Box<dyn Error>> {
        let mut device = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/fuse")?;
        let options = format!(
            "fd={},rootmode=40000,user_id=0,group_id=0,allow_other",
            device.as_raw_fd()
        );
        mount(
            Some("silent"),
            at,
            Some("fuse"),
            MsFlags::empty(),
            Some(options.as_str()),
        )?;
        let mut request = vec![0; 1 << 17];
        let _asked = device.read(&mut request)?;
        // linux/fuse.h: fuse_out_header (length, error, unique), then fuse_init_out, in which only
        // the version is not zero: 7.31, max_write 4096.
        let mut answer = vec![0_u8; 16 + 64];
        answer[0..4].copy_from_slice(&80_u32.to_ne_bytes());
        answer[8..16].copy_from_slice(&request[8..16]);
        answer[16..20].copy_from_slice(&7_u32.to_ne_bytes());
        answer[20..24].copy_from_slice(&31_u32.to_ne_bytes());
        answer[36..40].copy_from_slice(&4096_u32.to_ne_bytes());
        device.write_all(&answer)?;
        // Takes what is asked and answers nothing: who waits for it cannot even be killed.
        let mut takes = device.try_clone()?;
        std::thread::spawn(move || while takes.read(&mut request).is_ok() {});
        Ok(Self {
            at: at.into(),
            device: Some(device),
        })
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        let _ = umount2(&self.at, MntFlags::MNT_FORCE | MntFlags::MNT_DETACH);
        self.device = None;
    }
}
