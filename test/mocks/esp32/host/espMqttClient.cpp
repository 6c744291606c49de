#include "espMqttClient.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "WiFi.h"
#include "esp_timer.h"

using espMqttClientTypes::DisconnectReason;
using espMqttClientTypes::SubscribeReturncode;

static std::string word(uint16_t value) {
  return {static_cast<char>(value >> 8), static_cast<char>(value & 0xff)};
}

static std::string text(const std::string &value) { return word(static_cast<uint16_t>(value.size())) + value; }

static uint16_t wordAt(const std::string &body, size_t at) {
  return static_cast<uint16_t>(static_cast<uint8_t>(body[at]) << 8 | static_cast<uint8_t>(body[at + 1]));
}

espMqttClient &espMqttClient::setServer(const char *host, uint16_t port) {
  host_ = host;
  port_ = port;
  return *this;
}

espMqttClient &espMqttClient::setCredentials(const char *user, const char *password) {
  user_ = user;
  password_ = password;
  return *this;
}

espMqttClient &espMqttClient::setClientId(const char *id) {
  id_ = id;
  return *this;
}

espMqttClient &espMqttClient::setKeepAlive(uint16_t seconds) {
  keepAlive_ = seconds;
  return *this;
}

espMqttClient &espMqttClient::setCleanSession(bool isClean) {
  isClean_ = isClean;
  return *this;
}

espMqttClient &espMqttClient::onConnect(std::function<void(bool)> callback) {
  onConnect_ = callback;
  return *this;
}

espMqttClient &espMqttClient::onDisconnect(std::function<void(DisconnectReason)> callback) {
  onDisconnect_ = callback;
  return *this;
}

espMqttClient &espMqttClient::onSubscribe(
    std::function<void(uint16_t, const SubscribeReturncode *, size_t)> callback) {
  onSubscribe_ = callback;
  return *this;
}

espMqttClient &espMqttClient::onMessage(
    std::function<void(const Properties &, const char *, const uint8_t *, size_t, size_t, size_t)> callback) {
  onMessage_ = callback;
  return *this;
}

espMqttClient &espMqttClient::onPublish(std::function<void(uint16_t)> callback) {
  onPublish_ = callback;
  return *this;
}

bool espMqttClient::connect() {
  socket_ = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port_);
  inet_pton(AF_INET, host_.c_str(), &address.sin_addr);
  if (::connect(socket_, reinterpret_cast<sockaddr *>(&address), sizeof address) != 0) {
    ::close(socket_);
    socket_ = -1;
    return false;
  }
  const int on = 1;
  setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  received_.clear();
  const char flags = static_cast<char>(0xc0 | (isClean_ ? 2 : 0));
  return send(0x10, text("MQTT") + '\4' + flags + word(keepAlive_) + text(id_) + text(user_) + text(password_));
}

uint16_t espMqttClient::subscribe(const char *topic, uint8_t qos) {
  const uint16_t id = nextId();
  return send(0x82, word(id) + text(topic) + static_cast<char>(qos)) ? id : 0;
}

uint16_t espMqttClient::publish(const char *topic, uint8_t qos, bool isRetained, const char *payload) {
  if (!isConnected_) return 0;
  const uint16_t id = qos == 0 ? 1 : nextId();
  const uint8_t first = static_cast<uint8_t>(0x30 | qos << 1 | (isRetained ? 1 : 0));
  return send(first, text(topic) + (qos == 0 ? "" : word(id)) + payload) ? id : 0;
}

void espMqttClient::loop() {
  if (socket_ < 0) return;
  if (WiFi.status() != WL_CONNECTED) return close();
  if (esp_timer_get_time() - sentAt_ > keepAlive_ * 500000LL) send(0xc0, "");
  pollfd readable = {socket_, POLLIN, 0};
  while (socket_ >= 0 && poll(&readable, 1, 0) > 0) {
    char chunk[4096];
    const ssize_t count = recv(socket_, chunk, sizeof chunk, 0);
    if (count <= 0) return close();
    received_.append(chunk, static_cast<size_t>(count));
    while (socket_ >= 0 && take()) continue;
  }
}

void espMqttClient::close() {
  ::close(socket_);
  socket_ = -1;
  isConnected_ = false;
  if (onDisconnect_) onDisconnect_(DisconnectReason::TCP_DISCONNECTED);
}

bool espMqttClient::send(uint8_t first, const std::string &body) {
  std::string packet(1, static_cast<char>(first));
  size_t rest = body.size();
  do {
    packet += static_cast<char>((rest & 127) | (rest > 127 ? 128 : 0));
    rest >>= 7;
  } while (rest > 0);
  packet += body;
  sentAt_ = esp_timer_get_time();
  return ::send(socket_, packet.data(), packet.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(packet.size());
}

/* One packet off what was received; false when none is whole. */
bool espMqttClient::take() {
  size_t length = 0;
  size_t at = 1;
  for (unsigned shift = 0;; shift += 7) {
    if (at >= received_.size()) return false;
    const uint8_t digit = static_cast<uint8_t>(received_[at++]);
    length |= static_cast<size_t>(digit & 127) << shift;
    if (digit < 128) break;
  }
  if (received_.size() < at + length) return false;
  const uint8_t first = static_cast<uint8_t>(received_[0]);
  const std::string body = received_.substr(at, length);
  received_.erase(0, at + length);
  handle(first, body);
  return true;
}

void espMqttClient::handle(uint8_t first, const std::string &body) {
  switch (first >> 4) {
    case 2:
      isConnected_ = body[1] == 0;
      if (!isConnected_) return close();
      if (onConnect_) onConnect_(body[0] != 0);
      return;
    case 3: return handlePublish(first, body);
    case 4:
      if (onPublish_) onPublish_(wordAt(body, 0));
      return;
    case 9: {
      const SubscribeReturncode code = static_cast<SubscribeReturncode>(static_cast<uint8_t>(body[2]));
      if (onSubscribe_) onSubscribe_(wordAt(body, 0), &code, 1);
      return;
    }
    default: return;
  }
}

void espMqttClient::handlePublish(uint8_t first, const std::string &body) {
  const uint8_t qos = (first >> 1) & 3;
  const size_t length = wordAt(body, 0);
  const std::string topic = body.substr(2, length);
  const size_t begin = 2 + length + (qos == 0 ? 0 : 2);
  const uint16_t id = qos == 0 ? static_cast<uint16_t>(0) : wordAt(body, 2 + length);
  const size_t size = body.size() - begin;
  const Properties properties = {qos, (first & 8) != 0, (first & 1) != 0, id};
  if (onMessage_) {
    const uint8_t *payload = reinterpret_cast<const uint8_t *>(body.data()) + begin;
    onMessage_(properties, topic.c_str(), payload, size, 0, size);
  }
  if (qos == 1) send(0x40, word(id));
}

uint16_t espMqttClient::nextId() {
  lastId_ = lastId_ == 65535 ? static_cast<uint16_t>(1) : static_cast<uint16_t>(lastId_ + 1);
  return lastId_;
}
