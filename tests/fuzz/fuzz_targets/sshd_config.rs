#![no_main]

rescind_fuzz::target!("sshd_config");
