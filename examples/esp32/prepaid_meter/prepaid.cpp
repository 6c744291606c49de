#include "prepaid.h"

/* 0.0001 kWh. Whole watts and milliseconds keep the sum exact; no floating point near money. */
static const int64_t kWattMsPerUnit = 360000;

void Prepaid::measure(uint32_t elapsedMs, uint32_t watts) {
  if (!relayIsOn()) return;
  carried_ += (int64_t)watts * elapsedMs;
  const int64_t measured = carried_ / kWattMsPerUnit;
  /* What flows in the second until the relay opens is given away: a balance does not go below 0 by itself. */
  const int64_t used = measured < balance_ ? measured : balance_;
  carried_ = used == balance_ ? 0 : carried_ - used * kWattMsPerUnit;
  balance_ -= used;
  unreported_ += used;
  total_ += used;
}

Taken Prepaid::take(const BalanceCommand &command) {
  if (command.timestamp == lastCommand_) return Taken::repeated;
  if (command.timestamp < lastCommand_) return Taken::old;
  lastCommand_ = command.timestamp;
  isKnown_ = true;
  /* The ledger has deducted what it has acknowledged; the rest is on its way there, and gone all the same. */
  balance_ = command.balance - unreported_ - reports_.units();
  return Taken::taken;
}

void Prepaid::credit(int64_t units, uint32_t tokens) {
  balance_ += units;
  tokens_ = tokens;
}

bool Prepaid::close(int64_t clockMs) {
  if (unreported_ == 0) return false;
  /* A report's identity ([P-6]): never the same twice, also when the clock was set back. */
  lastTimestamp_ = clockMs > lastTimestamp_ ? clockMs : lastTimestamp_ + 1;
  reports_.add({unreported_, balance_, total_, lastTimestamp_});
  unreported_ = 0;
  return true;
}

Remembered Prepaid::remember() const {
  Remembered now = {};
  now.version = kRememberedVersion;
  now.isKnown = isKnown_;
  now.balance = balance_;
  now.lastCommand = lastCommand_;
  now.lastTimestamp = lastTimestamp_;
  now.tokens = tokens_;
  now.unsent = unreported_ + reports_.units();
  if (const Report *sent = reports_.sent()) {
    now.sent = *sent;
    now.unsent -= sent->units;
  }
  return now;
}

void Prepaid::recall(const Remembered &before) {
  if (before.version != kRememberedVersion) return;
  isKnown_ = before.isKnown;
  balance_ = before.balance;
  lastCommand_ = before.lastCommand;
  lastTimestamp_ = before.lastTimestamp;
  tokens_ = before.tokens;
  unreported_ = before.unsent;
  if (before.sent.units > 0) reports_.restoreSent(before.sent);
}
