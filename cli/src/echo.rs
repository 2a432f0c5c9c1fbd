//! `anyport echo`: a TCP echo server on one port, until Ctrl-C.

use std::io::{self, Write};
use std::net::TcpListener;

use anyport::{Backend, Port, Token};

use crate::echo_loop::EchoLoop;
use crate::failure::Failure;
use crate::listen::listen;
use crate::{args, descriptors};

/// Echo what TCP peers send
#[derive(clap::Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Echo {
    /// Where to listen, such as 127.0.0.1:7777; port 0 takes a free one
    #[arg(value_name = "ADDR")]
    address: String,
    /// The event queue to use (anyport info lists them) [default: the best that works here]
    #[arg(long, value_name = "NAME", value_parser = args::backend)]
    backend: Option<Backend>,
}

const AFTER_HELP: &str = "It prints one line, \"listening on ADDR (BACKEND)\", when it is ready. Talk to it with nc. Ctrl-C \
    stops it.";

/// The token of the post that ends the server.
const STOP: Token = Token(u64::MAX - 1);

pub(crate) fn run(options: Echo) -> Result<(), Failure> {
    let listener = listen(&options.address, "as ADDR")?;
    // A peer takes a descriptor.
    descriptors::raise_limit();
    let mut builder = Port::builder();
    if let Some(backend) = options.backend {
        builder = builder.backend(backend);
    }
    let port = builder.build().map_err(|error| Failure::input(format!("cannot open a port: {error}")))?;
    serve(port, listener).map_err(|error| Failure::Runtime(error.to_string()))
}

fn serve(mut port: Port, listener: TcpListener) -> io::Result<()> {
    let poster = port.poster();
    let stop = move || {
        // A port that is gone has stopped already.
        let _ = poster.post(STOP, ());
    };
    ctrlc::set_handler(stop).map_err(io::Error::other)?;
    let address = listener.local_addr()?;
    let mut echo = EchoLoop::start(&mut port, listener)?;
    // Nobody may be reading; the server serves all the same.
    let _ = writeln!(io::stdout(), "listening on {address} ({})", port.backend());
    loop {
        port.wait(None)?;
        while let Some(done) = port.next() {
            if done.token() == STOP {
                let _ = writeln!(io::stderr(), "{} peers have come and gone", echo.gone());
                return Ok(());
            }
            echo.complete(&mut port, done)?;
        }
    }
}
