//! The embedded store keeps the promises of the store port.

use merak_app::testing::store_suite;
use merak_store::Embedded;
use std::sync::Arc;

#[tokio::test]
async fn keeps_the_promises() {
    store_suite::run(|| {
        let dir = tempfile::tempdir().expect("a directory");
        Box::new(move || Arc::new(Embedded::open(dir.path()).expect("it opens")))
    })
    .await;
}
