//! Posts from another thread: tokio's channel on each runtime (it belongs to none), and libuv's asyncs.

use std::io;

use measure::contest::Contest;
use measure::plan::Plan;
use measure::post::{Way, flood_turn, wake_turn};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::{compio, on_ring, peer, tokio};

pub(super) fn contests(plan: &Plan) -> Vec<Contest<'_>> {
    let mut contests = measure::post::contests(plan);
    let [flood, wake] = contests.as_mut_slice() else { unreachable!("there are two contests of posts") };
    flood.contestants.push(peer("tokio", move || flood_turn(plan, Tokio)));
    flood.contestants.push(on_ring("compio", move || flood_turn(plan, Compio)));
    flood.contestants.push(peer("smol", move || flood_turn(plan, Smol)));
    wake.contestants.push(peer("tokio", move || wake_turn(plan, Tokio)));
    wake.contestants.push(on_ring("compio", move || wake_turn(plan, Compio)));
    wake.contestants.push(peer("smol", move || wake_turn(plan, Smol)));
    #[cfg(libuv)]
    {
        flood.contestants.push(peer("libuv", move || flood_turn(plan, super::libuv::Asyncs)));
        wake.contestants.push(peer("libuv", move || wake_turn(plan, super::libuv::Asyncs)));
    }
    #[cfg(not(libuv))]
    [flood, wake].into_iter().for_each(|contest| contest.contestants.push(super::libuv_absent()));
    contests
}

type Post = Box<dyn FnMut(u64) -> io::Result<()> + Send>;

fn channel() -> (Post, UnboundedReceiver<u64>) {
    let (send, receive) = unbounded_channel();
    let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
    (Box::new(move |value| send.send(value).map_err(gone)), receive)
}

async fn receive_all(mut values: UnboundedReceiver<u64>, take: &mut dyn FnMut(u64) -> bool) -> io::Result<()> {
    while let Some(value) = values.recv().await {
        if take(value) {
            return Ok(());
        }
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

#[derive(Clone, Copy)]
struct Tokio;

impl Way for Tokio {
    type Inbox = (::tokio::runtime::Runtime, UnboundedReceiver<u64>);
    type Post = Post;

    fn open(self) -> io::Result<(Post, Self::Inbox)> {
        let (post, values) = channel();
        Ok((post, (tokio()?, values)))
    }

    fn receive(self, (runtime, values): Self::Inbox, take: &mut dyn FnMut(u64) -> bool) -> io::Result<()> {
        runtime.block_on(receive_all(values, take))
    }
}

#[derive(Clone, Copy)]
struct Compio;

impl Way for Compio {
    type Inbox = (::compio::runtime::Runtime, UnboundedReceiver<u64>);
    type Post = Post;

    fn open(self) -> io::Result<(Post, Self::Inbox)> {
        let (post, values) = channel();
        Ok((post, (compio()?, values)))
    }

    fn receive(self, (runtime, values): Self::Inbox, take: &mut dyn FnMut(u64) -> bool) -> io::Result<()> {
        runtime.block_on(receive_all(values, take))
    }
}

#[derive(Clone, Copy)]
struct Smol;

impl Way for Smol {
    type Inbox = UnboundedReceiver<u64>;
    type Post = Post;

    fn open(self) -> io::Result<(Post, Self::Inbox)> {
        Ok(channel())
    }

    fn receive(self, values: Self::Inbox, take: &mut dyn FnMut(u64) -> bool) -> io::Result<()> {
        smol::block_on(receive_all(values, take))
    }
}
