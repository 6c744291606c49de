/*
 * A prepaid meter on an ESP32: what Meterflow's virtual meter does, in firmware. The topics and their rules stand in
 * docs/protocol.md; ids such as [M-6] are those of that page. This file holds pins, network and time; the rules about
 * money are in prepaid.cpp and know nothing of either.
 *
 * Libraries: espMqttClient (PubSubClient cannot publish at QoS 1, and a report without an acknowledgement is money
 * lost). Board: ESP32 with the Arduino core 3.
 */
#include <Arduino.h>
#include <WiFi.h>
#include <esp_timer.h>
#include <espMqttClient.h>
#include <string.h>
#include <sys/time.h>

#include "balance_asking.h"
#include "mains.h"
#include "memory.h"
#include "messages.h"
#include "prepaid.h"
#include "quarter_readings.h"
#include "settings.h"
#include "tokens.h"

static const char *const kTopicConsumption = "smartmeter/" METER_ID "/consumption";
static const char *const kTopicStatus = "smartmeter/" METER_ID "/status";
static const char *const kTopicBalance = "smartmeter/" METER_ID "/balance";
static const char *const kTopicRequest = "smartmeter/" METER_ID "/balance/request";
static const char *const kTopicCommand = "smartmeter/" METER_ID "/command/balance";
static const char *const kTopicToken = "meters/" METER_ID "/command/token";
static const char *const kTopicTokenAnswer = "meters/" METER_ID "/token/response";
#ifdef DEVICE_SECRET
static const char *const kTopicReadings = "meters/" METER_ID "/readings";
#endif

static const int64_t kMeasureMs = 1000;
static const int64_t kReportMs = REPORT_SECONDS * 1000LL;
static const int64_t kStatusMs = 60000;
static const int64_t kReconnectMs = 5000;
/* Without a balance for so long after a connect, the status says so. */
static const int64_t kPatienceMs = 10000;
/* After a token reports wait so long for the ledger's balance: one that overtakes the booking would look wrong. */
static const int64_t kBookingMs = 10000;
/* 2024: before it the clock has not been set yet. */
static const int64_t kClockLeastMs = 1704067200000LL;

static Prepaid meter;
static BalanceAsking asking;
static Memory memory;
static QuarterReadings quarters;
static TokenSlot slot;
/* In loop(): no second task touches the meter. */
#ifdef MQTT_CA
static espMqttClientSecure mqtt(espMqttClientTypes::UseInternalTask::NO);
#else
static espMqttClient mqtt(espMqttClientTypes::UseInternalTask::NO);
#endif

/* All times in ms since the start. */
static int64_t measuredAt = 0;
static int64_t closedAt = 0;
static int64_t connectedAt = 0;
static int64_t triedAt = -kReconnectMs;
static int64_t saidAt = 0;
static const char *saidMessage = nullptr;
static bool isSubscribed = false;
static bool isWifiSaid = false;
static bool wasOn = false;
/* 0: nothing is under way. */
static uint16_t reportPacket = 0;
static uint16_t readingPacket = 0;
static uint16_t tokenPacket = 0;
static int64_t bookedAt = -kBookingMs;

static int64_t uptimeMs() { return esp_timer_get_time() / 1000; }

/* Unix ms; 0 while the clock is not set. */
static int64_t clockMs() {
  struct timeval now;
  gettimeofday(&now, nullptr);
  const int64_t ms = (int64_t)now.tv_sec * 1000 + now.tv_usec / 1000;
  return ms < kClockLeastMs ? 0 : ms;
}

/* [P-7] */
static void switchRelay() {
  /* While it was off nothing was drawn. */
  if (meter.relayIsOn() && !wasOn) measuredAt = uptimeMs();
  wasOn = meter.relayIsOn();
  digitalWrite(RELAY_PIN, wasOn ? HIGH : LOW);
}

/* A report is kept in NVS before it is sent: after a power failure it goes out again as it was. */
static void closeReport(bool isDue) {
  const int64_t now = uptimeMs();
  if (!isDue && (now - closedAt < kReportMs || now - bookedAt < kBookingMs)) return;
  /* Its time is its identity: it waits for the clock. */
  const int64_t clock = clockMs();
  if (clock == 0) return;
  closedAt = now;
  const int64_t before = meter.reports().units();
  if (!meter.close(clock)) return;
  /* Otherwise it is sent in this very turn of loop(), and written there. */
  if (!isSubscribed || reportPacket != 0) memory.write(meter.remember());
  Text line;
  line.add("Consumption: ").addKwhInFull(meter.reports().units() - before).add(" kWh");
  Serial.println(line.c_str());
}

static void measure() {
  const int64_t now = uptimeMs();
  if (now - measuredAt < kMeasureMs) return;
  const uint32_t watts = wattsDrawn();
  meter.measure((uint32_t)(now - measuredAt), watts);
  measuredAt = now;
  const bool isSwitchedOff = wasOn && !meter.relayIsOn();
  if (isSwitchedOff) switchRelay();
  closeReport(isSwitchedOff);
#ifdef DEVICE_SECRET
  if (const int64_t clock = clockMs()) quarters.count(clock, meter.total());
#endif
}

static void say(const char *topic, const Text &text) { mqtt.publish(topic, 0, false, text.c_str()); }

static void obey(const uint8_t *payload, size_t length) {
  BalanceCommand command;
  if (const char *reason = parseBalanceCommand((const char *)payload, length, &command)) {
    Serial.print("Balance command refused: ");
    Serial.println(reason);
    return;
  }
  const Taken outcome = meter.take(command);
  if (outcome == Taken::old) return;
  if (outcome == Taken::taken) {
    asking.taken(uptimeMs(), meter.reports().sent() != nullptr);
    bookedAt = uptimeMs() - kBookingMs;
    memory.write(meter.remember());
    switchRelay();
    Text line;
    line.add("Balance updated: ").addKwhInFull(command.balance);
    Serial.println(line.c_str());
  }
  say(kTopicBalance, confirmationText(METER_ID, command));
}

/* The token first: a power failure behind it loses nothing, since the balance knows how many it counts. */
static void creditToken() {
  if (meter.tokens() == slot.taken()) return;
  meter.credit(slot.last().units, slot.taken());
  memory.write(meter.remember());
  switchRelay();
}

static void takeToken(const uint8_t *payload, size_t length) {
  TokenCommand command;
  if (const char *reason = parseTokenCommand((const char *)payload, length, &command)) {
    Serial.print("Token command refused: ");
    Serial.println(reason);
    return;
  }
  const bool isTaken = slot.take(command);
  memory.write(slot.remember());
  /* Its answer goes out in this turn of loop(). */
  tokenPacket = 0;
  if (isTaken) bookedAt = uptimeMs();
  creditToken();
  Text line;
  line.add(isTaken ? "Token taken: " : "Token not taken: ").addKwhInFull(slot.last().units).add(" kWh");
  Serial.println(line.c_str());
}

static void onConnect(bool) {
  Serial.println("MQTT connected: " MQTT_HOST);
  connectedAt = uptimeMs();
  saidMessage = nullptr;
  isSubscribed = false;
  mqtt.subscribe(kTopicToken, 1);
  mqtt.subscribe(kTopicCommand, 1);
}

/* To the first of the two; the other is granted with it. */
static void onSubscribe() {
  if (isSubscribed) return;
  isSubscribed = true;
  asking.connected(uptimeMs());
}

/* What had no acknowledgement goes out again after the next connect. */
static void onDisconnect(espMqttClientTypes::DisconnectReason) {
  isSubscribed = false;
  reportPacket = 0;
  readingPacket = 0;
  tokenPacket = 0;
}

static void onMessage(const espMqttClientTypes::MessageProperties &, const char *topic, const uint8_t *payload,
                      size_t length, size_t index, size_t total) {
  /* A command fits into one piece. */
  if (index != 0 || length != total) return;
  if (strcmp(topic, kTopicCommand) == 0) obey(payload, length);
  if (strcmp(topic, kTopicToken) == 0) takeToken(payload, length);
}

/* The PUBACK: the back end has committed it ([M-13]). */
static void onPublish(uint16_t packet) {
  if (packet == reportPacket && reportPacket != 0) {
    reportPacket = 0;
    meter.reports().acknowledged();
    asking.acknowledged(uptimeMs());
  } else if (packet == tokenPacket && tokenPacket != 0) {
    tokenPacket = 0;
    slot.acknowledged();
    memory.write(slot.remember());
  } else if (packet == readingPacket && readingPacket != 0) {
    readingPacket = 0;
    quarters.acknowledged();
  }
}

/* WiFi comes back by itself; the broker is tried every five seconds. The meter counts on meanwhile. */
static void keepConnected() {
  const bool isWifi = WiFi.status() == WL_CONNECTED;
  if (isWifi && !isWifiSaid) {
    Serial.print("WiFi connected: ");
    Serial.println(WiFi.localIP());
  }
  isWifiSaid = isWifi;
  if (!isWifi || !mqtt.disconnected() || uptimeMs() - triedAt < kReconnectMs) return;
  triedAt = uptimeMs();
  mqtt.connect();
}

static void sendReports() {
  if (tokenPacket == 0) {
    if (const TokenAnswer *answer = slot.unanswered())
      tokenPacket = mqtt.publish(kTopicTokenAnswer, 1, false, tokenAnswerText(METER_ID, *answer).c_str());
  }
  if (reportPacket == 0 && uptimeMs() - bookedAt >= kBookingMs) {
    if (const Report *report = meter.reports().toSend()) {
      memory.write(meter.remember());
      reportPacket = mqtt.publish(kTopicConsumption, 1, false, consumptionText(METER_ID, *report).c_str());
    }
  }
#ifdef DEVICE_SECRET
  if (readingPacket == 0) {
    if (const QuarterReading *reading = quarters.oldest())
      readingPacket = mqtt.publish(kTopicReadings, 1, false, readingText(METER_ID, *reading, DEVICE_SECRET).c_str());
  }
#endif
}

static void sayStatus() {
  const int64_t now = uptimeMs();
  if (!meter.isKnown() && now - connectedAt < kPatienceMs) return;
  const Status status = statusOf(meter, LOW_BALANCE_UNITS);
  const bool isNew = saidMessage != status.message;
  if (!isNew && now - saidAt < kStatusMs) return;
  if (isNew) {
    Serial.print("Status: ");
    Serial.println(status.title);
  }
  saidMessage = status.message;
  saidAt = now;
  say(kTopicStatus, statusText(METER_ID, status, meter.balance(), WiFi.RSSI(), clockMs()));
}

void setup() {
  pinMode(RELAY_PIN, OUTPUT);
  digitalWrite(RELAY_PIN, LOW);
  Serial.begin(115200);
  Serial.println("=== ESP32 Smart Meter ===");
  memory.begin();
  meter.recall(memory.read());
  slot.recall(memory.readTokens());
  creditToken();
  switchRelay();
  WiFi.mode(WIFI_STA);
  /* Modem sleep between beacons: a tenth of the power, and commands arrive some 100 ms later. */
  WiFi.setSleep(true);
  WiFi.begin(WIFI_SSID, WIFI_PASSWORD);
  configTime(0, 0, NTP_SERVER);
#ifdef MQTT_CA
  mqtt.setCACert(MQTT_CA);
#endif
  mqtt.setServer(MQTT_HOST, MQTT_PORT);
  mqtt.setCredentials(MQTT_USER, MQTT_PASSWORD);
  mqtt.setClientId(MQTT_USER);
  mqtt.setKeepAlive(30);
  mqtt.setCleanSession(true);
  mqtt.onConnect(onConnect);
  mqtt.onDisconnect(onDisconnect);
  /* What follows the packet id differs between versions of the library. */
  mqtt.onSubscribe([](uint16_t, auto...) { onSubscribe(); });
  mqtt.onMessage(onMessage);
  mqtt.onPublish(onPublish);
  measuredAt = closedAt = uptimeMs();
}

void loop() {
  mqtt.loop();
  keepConnected();
  measure();
  if (isSubscribed) {
    sendReports();
    if (asking.isDue(uptimeMs(), meter.reports().sent() != nullptr)) mqtt.publish(kTopicRequest, 0, false, "{}");
    sayStatus();
  }
  delay(5);
}
