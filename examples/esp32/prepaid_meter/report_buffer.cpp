#include "report_buffer.h"

#include <string.h>

/* A report with more than 100 kWh is refused ([M-2]). */
static const int64_t kUnitsMost = 1000000;
static const int64_t kAnySize = INT64_MAX;

void ReportBuffer::add(const Report &report) {
  reports_[size_++] = report;
  if (size_ > kMost) mergeOldest();
}

const Report *ReportBuffer::toSend() {
  if (size_ == 0) return nullptr;
  wasSent_ = true;
  return &reports_[0];
}

void ReportBuffer::acknowledged() {
  if (!wasSent_) return;
  remove(0);
  wasSent_ = false;
}

int64_t ReportBuffer::units() const {
  int64_t sum = 0;
  for (size_t i = 0; i < size_; i++) sum += reports_[i].units;
  return sum;
}

void ReportBuffer::restoreSent(const Report &report) {
  reports_[0] = report;
  size_ = 1;
  wasSent_ = true;
}

/* The newer of the two keeps its timestamp, balance and total, and gets the energy of both. */
void ReportBuffer::mergeOldest() {
  size_t first = mergeable(kUnitsMost);
  /* Above the limit it ends in quarantine, where a person finds it; lost it would be found by nobody. */
  if (first == size_) first = mergeable(kAnySize);
  reports_[first + 1].units += reports_[first].units;
  remove(first);
}

/* The oldest that fits together with its successor; size_ when there is none. What was sent stays as it is. */
size_t ReportBuffer::mergeable(int64_t most) const {
  for (size_t i = wasSent_ ? 1 : 0; i + 1 < size_; i++) {
    if (reports_[i].units <= most - reports_[i + 1].units) return i;
  }
  return size_;
}

void ReportBuffer::remove(size_t index) {
  memmove(&reports_[index], &reports_[index + 1], (size_ - index - 1) * sizeof(Report));
  size_--;
}
