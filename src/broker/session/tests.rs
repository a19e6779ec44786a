//! The state of a session as a machine: what is queued, read from the log, sent again, and to whom.

use super::*;
use crate::engine::Draft;
use serde_json::value::RawValue;

const LIMITS: QueueLimits = QueueLimits { messages: 3, bytes: 10_000 };

fn publication(seq: Seq) -> Arc<Publication> {
    let data = RawValue::from_string(seq.to_string()).unwrap();
    Arc::new(Publication::new(seq, Draft::new("/a", &data, None, 0)))
}

fn session() -> Session {
    Session::new(ClientId::from_bits(1), 0, None, 10, Instant::now())
}

fn push(session: &Session, publication: &Arc<Publication>) -> Option<Waker> {
    session.enqueue(publication, LIMITS, None, &Counter::default())
}

fn seqs(next: Next) -> Vec<Seq> {
    match next {
        Next::Queued(p) => p.iter().map(|p| p.seq).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_publication_is_queued_once_and_never_from_before_the_session() {
    let s = session();
    for seq in [9, 10, 11, 11, 12, 11] {
        push(&s, &publication(seq));
    }
    let (epoch, _) = s.lock().attach(Place::Delivery, false);
    assert_eq!(seqs(s.lock().next(epoch, 1 << 20)), [11, 12]);
    assert_eq!(s.lock().handed(), 12);
}

#[test]
fn what_could_not_be_written_comes_back_in_front() {
    let s = session();
    push(&s, &publication(11));
    push(&s, &publication(12));
    let (epoch, _) = s.lock().attach(Place::Delivery, false);
    let Next::Queued(taken) = s.lock().next(epoch, 1 << 20) else { panic!() };
    push(&s, &publication(13));
    s.restore(taken);
    assert_eq!(seqs(s.lock().next(epoch, 1 << 20)), [11, 12, 13]);
}

#[test]
fn a_full_queue_becomes_a_cursor_and_then_a_queue_again() {
    let s = session();
    let (epoch, _) = s.lock().attach(Place::Delivery, false);
    for seq in 11..=14 {
        push(&s, &publication(seq));
    }
    assert_eq!(s.lock().queued(), (0, 0));
    push(&s, &publication(20));
    let Next::FromLog { after: 10, to: 20 } = s.lock().next(epoch, 1 << 20) else { panic!() };
    assert!(s.lock().caught_up(epoch, 10, 15));
    let Next::FromLog { after: 15, to: 20 } = s.lock().next(epoch, 1 << 20) else { panic!() };
    assert!(!s.lock().caught_up(epoch, 10, 15), "an answer to an old question does not count");
    assert!(s.lock().caught_up(epoch, 15, 20));
    push(&s, &publication(21));
    assert_eq!(seqs(s.lock().next(epoch, 1 << 20)), [21]);
}

#[test]
fn only_the_newest_attachment_gets_messages() {
    let s = session();
    let (old, _) = s.lock().attach(Place::Delivery, false);
    let (new, _) = s.lock().attach(Place::Delivery, false);
    push(&s, &publication(11));
    assert!(matches!(s.lock().next(old, 1 << 20), Next::Nothing));
    let mut cx = Context::from_waker(Waker::noop());
    assert_eq!(s.poll_event(Place::Delivery, old, &mut cx), Poll::Ready(Event::Superseded));
    assert_eq!(s.poll_event(Place::Delivery, new, &mut cx), Poll::Ready(Event::Messages));
    s.detach(old, None, Duration::ZERO);
    assert_eq!(seqs(s.lock().next(new, 1 << 20)), [11]);
    assert_eq!(s.poll_event(Place::Delivery, new, &mut cx), Poll::Pending);
}

#[test]
fn deliveries_are_bounded_but_never_empty() {
    let s = session();
    let (epoch, _) = s.lock().attach(Place::Delivery, false);
    for seq in 11..=13 {
        push(&s, &publication(seq));
    }
    let one = publication(11).weight();
    assert_eq!(seqs(s.lock().next(epoch, 1)), [11]);
    assert_eq!(seqs(s.lock().next(epoch, one + 1)), [12]);
    assert_eq!(seqs(s.lock().next(epoch, one + 1)), [13]);
    assert_eq!(s.lock().queued(), (0, 0));
}

#[test]
fn an_ack_moves_forward_only_and_what_was_not_acked_is_read_again() {
    let s = session();
    s.lock().begin_acks(10);
    let (epoch, _) = s.lock().attach(Place::Delivery, false);
    push(&s, &publication(11));
    push(&s, &publication(12));
    assert_eq!(seqs(s.lock().next(epoch, 1 << 20)), [11, 12]);
    s.lock().acknowledge(Some(11));
    assert!(matches!(s.lock().next(epoch, 1 << 20), Next::FromLog { after: 11, to: 12 }));
    assert!(s.lock().caught_up(epoch, 11, 12));
    for says_nothing in [None, Some(0), Some(10), Some(999)] {
        s.lock().acknowledge(says_nothing);
        assert_eq!(s.lock().acked(), Some(11));
        assert!(matches!(s.lock().next(epoch, 1 << 20), Next::FromLog { after: 11, to: 12 }), "{says_nothing:?}");
        assert!(s.lock().caught_up(epoch, 11, 12));
    }
    s.lock().acknowledge(Some(12));
    assert!(matches!(s.lock().next(epoch, 1 << 20), Next::Nothing));
}

#[test]
fn a_position_is_not_handed_before_the_lane_has_shown_it() {
    let s = session();
    s.lock().begin_acks(10);
    let (epoch, _) = s.lock().attach(Place::Delivery, false);
    for seq in 11..=14 {
        push(&s, &publication(seq));
    }
    assert!(s.lock().caught_up(epoch, 10, 20), "the log was read beyond what the lane has shown");
    assert_eq!(s.lock().handed(), 14);
    push(&s, &publication(15));
    s.lock().acknowledge(Some(14));
    assert_eq!(seqs(s.lock().next(epoch, 1 << 20)), [15]);
}

#[test]
fn subscriptions_begin_where_they_were_made() {
    let s = session();
    s.lock().subscriptions.push(Subscription { pattern: "/a".into(), since: 11 });
    let own = s.id;
    let wants = |seq, echo| s.lock().wants(own, &publication(seq), echo);
    assert!(!wants(11, true) && wants(12, true));
    let data = RawValue::from_string("1".into()).unwrap();
    let mine = Publication::new(12, Draft::new("/a", &data, None, 0).from(Some(own)));
    assert!(s.lock().wants(own, &mine, true) && !s.lock().wants(own, &mine, false));
    let other = Publication::new(12, Draft::new("/a", &data, None, 0).to(ClientId::from_bits(9)));
    assert!(!s.lock().wants(own, &other, true));
}

#[test]
fn a_late_notice_of_a_broken_connection_brings_nothing_back_to_who_acknowledges() {
    let s = session();
    s.lock().begin_acks(10);
    push(&s, &publication(11));
    let (epoch, _) = s.lock().attach(Place::Delivery, false);
    let Next::Queued(taken) = s.lock().next(epoch, 1 << 20) else { panic!() };
    // It came over another connection meanwhile.
    s.lock().acknowledge(Some(11));
    s.restore(taken);
    assert!(matches!(s.lock().next(epoch, 1 << 20), Next::Nothing));
}

#[test]
fn what_was_sent_before_going_back_can_be_acknowledged() {
    let s = session();
    s.lock().begin_acks(10);
    push(&s, &publication(11));
    push(&s, &publication(12));
    let (epoch, _) = s.lock().attach(Place::Delivery, false);
    assert_eq!(seqs(s.lock().next(epoch, 1 << 20)), [11, 12]);
    // An older connect arrives late and goes back; before it is answered, the newer one acknowledges everything.
    s.lock().acknowledge(Some(10));
    assert!(s.lock().has_messages());
    s.lock().acknowledge(Some(12));
    assert!(matches!(s.lock().next(epoch, 1 << 20), Next::Nothing));
    assert_eq!(s.lock().handed(), 12);
}

#[test]
fn what_came_back_stays_when_the_rest_of_the_queue_is_given_up() {
    let s = session();
    let (epoch, _) = s.lock().attach(Place::Delivery, false);
    // Older than the session, as a replay hands out.
    s.restore(vec![publication(3), publication(4)]);
    for seq in 11..=14 {
        push(&s, &publication(seq));
    }
    assert_eq!(seqs(s.lock().next(epoch, 1 << 20)), [3, 4]);
    assert!(matches!(s.lock().next(epoch, 1 << 20), Next::FromLog { after: 10, to: 14 }));
}

#[test]
fn a_session_that_is_over_hands_out_nothing() {
    let s = session();
    let (epoch, _) = s.lock().attach(Place::Delivery, false);
    s.lock().read_from_log(20);
    s.lock().end(End::LaneLost);
    assert!(!s.lock().caught_up(epoch, 10, 20), "what was being read belongs to the session in its place");
    assert!(matches!(s.lock().next(epoch, 1 << 20), Next::Nothing));
    assert_eq!(s.lock().standing().sent, 10);
}

#[test]
fn a_stream_that_only_shows_that_it_is_there_is_not_told_of_gaps_for_ever() {
    let s = session();
    let (epoch, _) = s.lock().attach(Place::Heartbeat, false);
    s.lock().note_gap(1, 5);
    let mut cx = Context::from_waker(Waker::noop());
    assert_eq!(s.poll_event_if(Place::Heartbeat, epoch, false, &mut cx), Poll::Pending);
    assert_eq!(s.poll_event(Place::Heartbeat, epoch, &mut cx), Poll::Ready(Event::Messages));
}

#[test]
fn a_browser_that_comes_back_to_its_stream_does_not_know_what_came_by_polls() {
    let s = session();
    let most = 1 << 20;
    let (_, _, position) = s.lock().attach_stream(None, false);
    assert_eq!(position, 10);
    push(&s, &publication(11));
    let (stream, ..) = s.lock().attach_stream(Some(10), false);
    assert_eq!(seqs(s.lock().next(stream, most)), [11]);
    let (again, _, position) = s.lock().attach_stream(Some(10), false);
    assert_eq!(position, 10, "the same browser, which did not get it");
    assert!(matches!(s.lock().next(again, most), Next::FromLog { after: 10, to: 11 }));
    assert!(s.lock().caught_up(again, 10, 11));
    let (poll, _) = s.lock().attach(Place::Delivery, false);
    push(&s, &publication(12));
    assert_eq!(seqs(s.lock().next(poll, most)), [12]);
    let (later, _, position) = s.lock().attach_stream(Some(10), false);
    assert_eq!(position, 12, "a poll has brought it further than its stream knows");
    assert!(matches!(s.lock().next(later, most), Next::Nothing));
}

#[test]
fn what_may_wait_has_its_own_time_after_others_went_back_into_the_log() {
    let s = session();
    let (early, late) = (Instant::now() + Duration::from_secs(1), Instant::now() + Duration::from_secs(2));
    let lazily = |seq, due| s.enqueue(&publication(seq), LIMITS, Some(due), &Counter::default());
    lazily(11, early);
    let (stream, ..) = s.lock().attach_stream(Some(10), false);
    assert_eq!(seqs(s.lock().next(stream, 1 << 20)), [11]);
    lazily(12, early);
    s.lock().rewind(10);
    assert!(s.lock().caught_up(stream, 10, 12));
    lazily(13, late);
    assert_eq!(s.lock().lazy_due(), Some(late));
}
