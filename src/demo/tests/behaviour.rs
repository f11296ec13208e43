//! The system through its public face: real orders, and what the two builds make of slow payments.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may panic as the test itself"
)]

mod peers;
mod scrape;

use std::time::{Duration, Instant};

use firedrill_demo::{Build, System};
use peers::{Forwarder, wait_until};
use scrape::{Samples, request};

/// A running system whose payments are behind a forwarder, with customers being served.
fn start(build: Build) -> (System, Forwarder) {
    let bound = System::bind(build).unwrap();
    let forwarder = Forwarder::to(bound.payments_addr());
    let system = bound.start(Some(forwarder.address)).unwrap();
    wait_until("customers are served", || system.load().good >= 60);
    // A host that stands still for a moment lets several orders meet; without kept connections it would be one each.
    let connections = forwarder.connections();
    assert!(
        connections <= 20,
        "connections are kept: {connections} for 60 orders"
    );
    (system, forwarder)
}

#[test]
fn orders_are_served_and_measured() {
    let system = System::bind(Build::Fragile).unwrap().start(None).unwrap();
    let addresses = *system.addresses();
    wait_until("customers are served", || system.load().good >= 60);
    assert_eq!(system.load().failed, 0);
    assert_eq!(system.load().given_up, 0);

    let order = r#"{"id":1000000,"pieces":1,"amount_cents":500}"#;
    assert_eq!(
        request(addresses.gateway, "POST", "/order", order).unwrap().0,
        200
    );
    assert_eq!(request(addresses.gateway, "GET", "/health", "").unwrap().0, 200);
    assert_eq!(
        request(addresses.payments, "POST", "/api/payment", "{")
            .unwrap()
            .0,
        400
    );

    for (service, address) in addresses.all() {
        let samples = Samples::of(address);
        let job = format!("job=\"{service}\"");
        assert!(
            samples.sum(&["http_requests_total", &job, "code=\"200\""]) >= 60.0,
            "{service}"
        );
        assert!(
            samples.sum(&["http_request_duration_seconds_count", &job]) >= 60.0,
            "{service}"
        );
    }
    assert_eq!(
        Samples::of(addresses.gateway).slower_than("0.3").1,
        0.0,
        "a steady system is quick"
    );
    assert!(Samples::of(addresses.payments).sum(&["payments_charged_total"]) >= 61.0);
    if cfg!(target_os = "linux") {
        assert!(Samples::of(addresses.gateway).sum(&["process_cpu_seconds_total"]) > 0.0);
    }
}

#[test]
fn slow_payments_make_a_queue_in_the_fragile_build_and_customers_keep_coming() {
    let (system, payments) = start(Build::Fragile);
    let addresses = *system.addresses();
    assert_eq!(Samples::of(addresses.orders).sum(&["queue_depth"]), 0.0);

    payments.delay_answers(Duration::from_millis(400));
    let (slow_since, due_before) = (Instant::now(), system.load().due);
    wait_until("orders take longer than the stop line", || {
        Samples::of(addresses.gateway).slower_than("2.0").1 >= 20.0
    });
    let reached = slow_since.elapsed();
    assert!(
        reached < Duration::from_secs(10),
        "the stop line is reached in time: {reached:?}"
    );
    assert!(Samples::of(addresses.orders).sum(&["queue_depth"]) >= 30.0);

    // Open loop: as many orders came due as the time says, although answers took seconds.
    // Customers who wait for answers would have come at the rate of the answers, 23 a second.
    let expected = slow_since.elapsed().as_secs_f64() * 40.0;
    let due = (system.load().due - due_before) as f64;
    assert!(
        due >= expected * 0.8,
        "{due} orders came due, {expected:.0} are the schedule's"
    );

    payments.delay_answers(Duration::ZERO);
    wait_until("the queue is worked off", || {
        Samples::of(addresses.orders).sum(&["queue_depth"]) == 0.0
    });
    assert_eq!(system.load().failed, 0, "it is slow, not wrong");
}

#[test]
fn the_hardened_build_stays_quick_and_pays_later() {
    let (system, payments) = start(Build::Hardened);
    let addresses = *system.addresses();
    let before = Samples::of(addresses.gateway);
    payments.delay_answers(Duration::from_millis(400));
    wait_until("payments are put off", || {
        Samples::of(addresses.gateway).sum(&["http_requests_total", "code=\"202\""]) >= 120.0
    });

    let after = Samples::of(addresses.gateway);
    let slow = after.slower_than("0.8").1 - before.slower_than("0.8").1;
    let all = after.slower_than("0.8").0 - before.slower_than("0.8").0;
    assert!(
        slow <= all * 0.05,
        "P95 stays within tolerance: {slow} of {all} took longer than 0.8 s"
    );
    assert_eq!(
        after.sum(&["http_requests_total", "code=\"5"]),
        0.0,
        "every order is accepted"
    );
    let orders = Samples::of(addresses.orders);
    assert_eq!(orders.sum(&["circuit_breaker_state"]), 2.0, "the breaker is open");
    assert!(orders.sum(&["payment_retries_total"]) >= 1.0);
    assert!(orders.sum(&["payments_pending"]) >= 100.0);
}

#[test]
fn the_hardened_build_takes_orders_while_payments_is_gone() {
    let (system, payments) = start(Build::Hardened);
    drop(payments);
    wait_until("payments are put off", || {
        Samples::of(system.addresses().gateway).sum(&["http_requests_total", "code=\"202\""]) >= 40.0
    });
    assert_eq!(system.load().failed, 0);
}
