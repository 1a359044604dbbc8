//! What others have seen and this replica has not (protocol §2.5, check 8, and §2.11): it is
//! counted, and told when it lasts.

use ajar_protocol::DeviceId;
use ajar_protocol::changes::Changes;

use crate::clock::Now;
use crate::error::EngineError;
use crate::notice::NoticeKind;
use crate::replica::Replica;
use crate::store::Store;

/// Missing envelopes become a notice after a day.
const WITHHELD_AFTER_MS: i64 = 24 * 3600 * 1000;

impl<S: Store> Replica<S> {
    /// Check 8: what the author of an envelope has seen.
    pub(crate) fn read_acks(
        &mut self,
        now: Now,
        place: usize,
        content: &Changes,
    ) -> Result<(), EngineError> {
        for (device, position) in &content.acks {
            if position.counter > self.progress.frontier.counter(device) {
                // Another device has what never came here, or it says so.
                if self.space.device(device).is_some() {
                    self.hear_of(now, *device, position.counter);
                    self.tell_lost(now, device, position.counter);
                }
                continue;
            }
            let ours = self.position_at(device, position.counter)?;
            let same = ours.map(|ours| ours.id == position.id);
            if same == Some(false) {
                self.notice(
                    now,
                    NoticeKind::Forked {
                        device: *device,
                        counter: position.counter,
                    },
                );
            }
            let by_partner = *device == self.space.device && place != self.space.place;
            if by_partner && same == Some(true) && position.counter > self.progress.confirmed {
                self.progress.confirmed = position.counter;
                self.pending.progress = true;
            }
        }
        Ok(())
    }

    /// Notes that a device has written up to `counter`, none of which has arrived here yet.
    pub(crate) fn hear_of(&mut self, now: Now, device: DeviceId, counter: u64) {
        // What lies beyond a cut-off is not missing to anyone.
        let counter = self
            .space
            .cutoff_of(&device)
            .unwrap_or(u64::MAX)
            .min(counter);
        if counter <= self.progress.frontier.counter(&device) {
            return;
        }
        let since = (0, now.wall_ms);
        let heard = self.progress.heard.entry(device).or_insert(since);
        if counter > heard.0 {
            heard.0 = counter;
            self.pending.progress = true;
        }
    }

    /// What still waits when the relay has nothing more stands on something that is missing:
    /// it counts as missing too, and is told when it lasts.
    pub(crate) fn hear_of_parked(&mut self, now: Now) {
        let waiting: Vec<(DeviceId, u64)> = self
            .parked
            .iter()
            .filter(|(device, _)| self.space.device(device).is_some())
            .filter_map(|(device, parked)| parked.keys().next_back().map(|last| (*device, *last)))
            .collect();
        for (device, last) in waiting {
            self.hear_of(now, device, last);
        }
    }

    /// Nothing beyond a cut-off is missing, whoever has seen it.
    pub(crate) fn cap_missing(&mut self, device: &DeviceId, cutoff: u64) {
        let known = self.progress.frontier.counter(device);
        let Some(heard) = self.progress.heard.get_mut(device) else {
            return;
        };
        heard.0 = heard.0.min(cutoff);
        self.pending.progress = true;
        if heard.0 <= known {
            self.progress.heard.remove(device);
            self.pending.notices |= self.notices.settle_withheld(device);
        }
    }

    /// Turns what has been missing for a day into notices.
    pub(crate) fn overdue(&mut self, now: Now) {
        // What another device promised at linking, or a clock that went back: it begins now.
        for (_, since) in self.progress.heard.values_mut() {
            if *since > now.wall_ms {
                *since = now.wall_ms;
                self.pending.progress = true;
            }
        }
        let overdue: Vec<(DeviceId, u64)> = self
            .progress
            .heard
            .iter()
            .filter(|(_, (_, since))| now.wall_ms.saturating_sub(*since) >= WITHHELD_AFTER_MS)
            .map(|(device, (counter, _))| {
                (
                    *device,
                    counter.saturating_sub(self.progress.frontier.counter(device)),
                )
            })
            .collect();
        for (device, missing) in overdue {
            self.notice(now, NoticeKind::Withheld { device, missing });
        }
    }
}
