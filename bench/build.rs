//! Builds the C and C++ servers where their libraries are installed; what is absent is reported by name at run time.

use std::env;
use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=native");
    // The profile's own: `cc` would take it from Cargo, but a debug server in a release table is too easy to make.
    let compiler = || {
        let mut build = cc::Build::new();
        build.opt_level(3).warnings(true).extra_warnings(true);
        build
    };
    if let Ok(libuv) = pkg_config::Config::new().cargo_metadata(false).probe("libuv") {
        compiler()
            .includes(&libuv.include_paths)
            .file("native/libuv.c")
            .file("native/libuv_loops.c")
            .compile("anyport_bench_libuv");
        // After the archive that needs it.
        libuv.link_paths.iter().for_each(|folder| println!("cargo::rustc-link-search=native={}", folder.display()));
        libuv.libs.iter().for_each(|name| println!("cargo::rustc-link-lib={name}"));
        println!("cargo::rustc-cfg=libuv");
    }
    let folders = [env::var("ASIO_INCLUDE").unwrap_or_default(), "/usr/include".into(), "/usr/local/include".into()];
    println!("cargo::rerun-if-env-changed=ASIO_INCLUDE");
    for folder in folders.iter().filter(|folder| Path::new(folder).join("asio.hpp").exists()).take(1) {
        let mut build = compiler();
        build.cpp(true).std("c++17").define("ASIO_STANDALONE", None);
        if folder != "/usr/include" {
            build.include(folder);
        }
        build.file("native/asio.cpp").compile("anyport_bench_asio");
        println!("cargo::rustc-cfg=asio");
    }
}
