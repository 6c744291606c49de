#pragma once
#include <stddef.h>
#include <stdint.h>

/* One consumption report ([M-2]). Energy in ten-thousandths of a kWh, time in Unix ms. Once made it stays. */
struct Report {
  int64_t units;
  int64_t remaining;
  int64_t total;
  int64_t timestamp;
};

/* Reports until the broker has acknowledged them, oldest first; one at a time is under way. */
class ReportBuffer {
 public:
  /* An hour of reports every 30 s. Beyond it the oldest are merged: no energy is lost, only the time resolution. */
  static const size_t kMost = 120;

  void add(const Report &report);
  /* The oldest, or null. It counts as sent from now on: the ledger may have it. */
  const Report *toSend();
  /* The broker has acknowledged the oldest. */
  void acknowledged();
  /* The oldest if it was sent, or null. */
  const Report *sent() const { return wasSent_ ? &reports_[0] : nullptr; }
  size_t size() const { return size_; }
  /* The energy of all of them. */
  int64_t units() const;
  /* As it was before a reboot: `report` may be known under its timestamp already. */
  void restoreSent(const Report &report);

 private:
  void mergeOldest();
  size_t mergeable(int64_t most) const;
  void remove(size_t index);

  Report reports_[kMost + 1];
  size_t size_ = 0;
  bool wasSent_ = false;
};
