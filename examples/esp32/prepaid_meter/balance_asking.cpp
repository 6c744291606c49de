#include "balance_asking.h"

/* A command may have been on its way for as long when it arrives. */
static const int64_t kTravelMs = 5000;
/* Between two commands that were both taken in the middle of a report. */
static const int64_t kAgainMs = 1000;
static const int64_t kPauseLeastMs = 10000;
static const int64_t kPauseMostMs = 300000;

void BalanceAsking::connected(int64_t now) {
  wanted_ = Wanted::atOnce;
  askAt_ = now;
  pause_ = kPauseLeastMs;
}

void BalanceAsking::acknowledged(int64_t now) {
  acknowledgedAt_ = now;
  isAcknowledgedSinceAsked_ = true;
}

void BalanceAsking::taken(int64_t now, bool isSent) {
  const bool isRecent = now - acknowledgedAt_ < kTravelMs;
  wanted_ = isSent || isRecent ? Wanted::whenSettled : Wanted::no;
  /* Asked already: this may be the answer. If it was not, the next one is. */
  const int64_t patientAt = isSent || isAcknowledgedSinceAsked_ ? now : acknowledgedAt_ + kTravelMs;
  askAt_ = patientAt > askedAt_ + kAgainMs ? patientAt : askedAt_ + kAgainMs;
  pause_ = kPauseLeastMs;
}

bool BalanceAsking::isDue(int64_t now, bool isSent) {
  if (wanted_ == Wanted::no || now < askAt_) return false;
  if (wanted_ == Wanted::whenSettled && isSent) return false;
  askedAt_ = now;
  isAcknowledgedSinceAsked_ = false;
  askAt_ = now + pause_;
  pause_ = pause_ * 2 < kPauseMostMs ? pause_ * 2 : kPauseMostMs;
  return true;
}
