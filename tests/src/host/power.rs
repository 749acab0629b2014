//! Switching a host off, hard and soft, and holding it still.

use super::Host;
use crate::command::wait_for_end;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::time::Duration;

impl Host {
    /// Ends everything on it at once, without a word to anyone. What it had written stays, also what
    /// it had not synced: this is the end of all its processes, not of its disk cache.
    #[track_caller]
    pub fn power_off(&self) {
        let Some(mut running) = self.running().take() else {
            return;
        };
        self.slot.kill_all();
        let _ = running.nspawn.wait();
    }

    /// Switches it on again, with the files it had.
    #[track_caller]
    pub fn power_on(&self) {
        assert!(
            self.running().is_none(),
            "{} is switched on already",
            self.name
        );
        self.switch_on();
    }

    /// Shuts it down in good order.
    #[track_caller]
    pub fn shut_down(&self) {
        let Some(mut running) = self.running().take() else {
            return;
        };
        // systemd-nspawn turns SIGTERM into a clean shutdown of what it holds.
        let pid = Pid::from_raw(running.nspawn.id().cast_signed());
        if let Err(error) = kill(pid, Signal::SIGTERM) {
            panic!(
                "could not signal the systemd-nspawn of {}: {error}",
                self.name
            );
        }
        let end = wait_for_end(&mut running.nspawn, Duration::from_secs(120));
        assert!(end.is_some(), "{} did not shut down", self.name);
        self.slot.kill_all();
    }

    /// Shuts it down in good order and boots it again.
    #[track_caller]
    pub fn reboot(&self) {
        self.shut_down();
        self.switch_on();
    }

    /// Stops every process on it where it stands; the network stays up and unanswered.
    #[track_caller]
    pub fn freeze(&self) {
        self.set_frozen("1");
    }

    /// Lets them go on.
    #[track_caller]
    pub fn thaw(&self) {
        self.set_frozen("0");
    }

    #[track_caller]
    fn set_frozen(&self, value: &str) {
        let file = self
            .slot
            .cgroups()
            .into_iter()
            .map(|dir| dir.join("payload/cgroup.freeze"))
            .find(|file| file.exists());
        let Some(file) = file else {
            panic!("{} has no control group to freeze", self.name)
        };
        if let Err(error) = fs::write(&file, value) {
            panic!("could not write {}: {error}", file.display());
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.slot.kill_all();
        if let Some(mut running) = self.running().take() {
            let _ = running.nspawn.wait();
        }
        // The slot clears away the rest.
    }
}
