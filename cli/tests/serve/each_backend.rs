//! Runs a test on each backend, or says why it cannot.

/// Makes of `fn name(backend: &str)` a test `backend::name` for each backend.
macro_rules! on_each_backend {
    ($($name:ident,)+) => {
        #[cfg(target_os = "linux")]
        on_each_backend!(@ io_uring $($name)+);
        #[cfg(target_os = "linux")]
        on_each_backend!(@ epoll $($name)+);
        #[cfg(not(any(target_os = "linux", windows)))]
        on_each_backend!(@ kqueue $($name)+);
        #[cfg(unix)]
        on_each_backend!(@ poll $($name)+);
        #[cfg(windows)]
        on_each_backend!(@ iocp $($name)+);
    };
    (@ $backend:ident $($name:ident)+) => {
        mod $backend {
            $(
                #[test]
                fn $name() {
                    $crate::each_backend::run(stringify!($backend), super::$name);
                }
            )+
        }
    };
}

pub(crate) fn run(name: &str, test: fn(&str)) {
    let backend: anyport::Backend = name.parse().expect("a backend of this name");
    match backend.check() {
        Ok(()) => test(name),
        Err(why) => println!("skipped: {why}"),
    }
}
