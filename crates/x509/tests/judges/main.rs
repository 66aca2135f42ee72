//! What certmesh issues and what it finds good, held against judges that share no code with it: the `openssl` command
//! (OpenSSL's own path building and key formats), rustls-webpki (what ztunnel and linkerd verify with) and, for input that
//! no honest CA makes, certificates put together by rcgen.

#![allow(clippy::unwrap_used, reason = "all of this is tests, also what clippy cannot see as such")]

mod fixture;
mod judge;

mod authorities;
mod bundles;
mod certificates;
mod differential;
mod issuing;
mod keys;
mod materials;
mod paths;
mod requests;
mod verifying;
