#![no_main]

rescind_fuzz::target!("key_blobs");
