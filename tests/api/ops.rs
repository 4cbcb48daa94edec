//! Ops.
use crate::harness::TestServer;
use copydesk::auth::Role;

#[test]
fn smoke() {
    let t = std::time::Instant::now();
    let server = TestServer::start();
    eprintln!("start {:?}", t.elapsed());
    server.anonymous().get("/healthz").expect(200);
    let me = server.signed_in(Role::Editor).get("/api/v1/auth/me").expect(200).json();
    eprintln!("{me} {:?}", t.elapsed());
    server.anonymous().get("/api/v1/auth/me").refused(401, "unauthenticated");
    server.stop();
    eprintln!("stop {:?}", t.elapsed());
}
