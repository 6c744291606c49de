/* The sketch's rules about money by themselves: one command per line of standard input, one answer per line. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "balance_asking.h"
#include "messages.h"
#include "prepaid.h"
#include "quarter_readings.h"
#include "tokens.h"

static Prepaid meter;
static BalanceAsking asking;
static QuarterReadings quarters;
static TokenSlot slot;
static const char *const secret = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

static void take(const char *json, size_t length) {
  static const char *const outcomes[] = {"taken", "repeated", "old"};
  BalanceCommand command;
  if (const char *reason = parseBalanceCommand(json, length, &command)) {
    printf("refused: %s\n", reason);
    return;
  }
  const Taken outcome = meter.take(command);
  printf("%s %s\n", outcomes[static_cast<int>(outcome)], confirmationText("METER001", command).c_str());
}

static void takeToken(const char *json, size_t length) {
  TokenCommand command;
  if (const char *reason = parseTokenCommand(json, length, &command)) {
    printf("refused: %s\n", reason);
    return;
  }
  if (slot.take(command)) meter.credit(slot.last().units, slot.taken());
  puts(tokenAnswerText("METER001", slot.last()).c_str());
}

static void send() {
  const Report *report = meter.reports().toSend();
  puts(report == nullptr ? "nothing" : consumptionText("METER001", *report).c_str());
}

static void obey(char *line) {
  int64_t a = 0;
  int64_t b = 0;
  char word[16] = "";
  int at = 0;
  sscanf(line, "%15s%n", word, &at);
  sscanf(line + at, "%" SCNd64 "%" SCNd64, &a, &b);
  if (strcmp(word, "take") == 0) return take(line + at + 1, strlen(line + at + 1));
  if (strcmp(word, "token") == 0) return takeToken(line + at + 1, strlen(line + at + 1));
  if (strcmp(word, "send") == 0) return send();
  if (strcmp(word, "measure") == 0) meter.measure(static_cast<uint32_t>(a), static_cast<uint32_t>(b));
  if (strcmp(word, "close") == 0) meter.close(a);
  if (strcmp(word, "ack") == 0) meter.reports().acknowledged();
  if (strcmp(word, "reboot") == 0) {
    const Remembered state = meter.remember();
    meter = Prepaid();
    meter.recall(state);
  }
  if (strcmp(word, "connected") == 0) asking.connected(a);
  if (strcmp(word, "acknowledged") == 0) asking.acknowledged(a);
  if (strcmp(word, "taken") == 0) asking.taken(a, b > 0);
  if (strcmp(word, "due") == 0) {
    puts(asking.isDue(a, b > 0) ? "due" : "not due");
    return;
  }
  if (strcmp(word, "count") == 0) quarters.count(a, b);
  if (strcmp(word, "quarter") == 0) {
    const QuarterReading *oldest = quarters.oldest();
    puts(oldest == nullptr ? "nothing" : readingText("METER001", *oldest, secret).c_str());
    if (oldest != nullptr) quarters.acknowledged();
    return;
  }
  const Status status = statusOf(meter, 10000);
  puts(statusText("METER001", status, meter.balance(), -65, meter.total()).c_str());
}

int main() {
  char line[1024];
  while (fgets(line, sizeof line, stdin) != nullptr) {
    line[strcspn(line, "\n")] = '\0';
    obey(line);
  }
  return 0;
}
