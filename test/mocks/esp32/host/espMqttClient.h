/* MQTT 3.1.1 over a socket of the PC, with the functions of espMqttClient that the sketch calls. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include <functional>
#include <string>

namespace espMqttClientTypes {
enum class DisconnectReason : int8_t { TCP_DISCONNECTED = 0 };
enum class UseInternalTask { NO = 0, YES = 1 };
enum class SubscribeReturncode : uint8_t { QOS0 = 0, QOS1 = 1, QOS2 = 2, FAIL = 0x80 };
struct MessageProperties {
  uint8_t qos;
  bool dup;
  bool retain;
  uint16_t packetId;
};
}  // namespace espMqttClientTypes

class espMqttClient {
 public:
  using Properties = espMqttClientTypes::MessageProperties;
  explicit espMqttClient(espMqttClientTypes::UseInternalTask task) { (void)task; }
  espMqttClient &setServer(const char *host, uint16_t port);
  espMqttClient &setCredentials(const char *user, const char *password);
  espMqttClient &setClientId(const char *id);
  espMqttClient &setKeepAlive(uint16_t seconds);
  espMqttClient &setCleanSession(bool isClean);
  espMqttClient &onConnect(std::function<void(bool)> callback);
  espMqttClient &onDisconnect(std::function<void(espMqttClientTypes::DisconnectReason)> callback);
  espMqttClient &onSubscribe(
      std::function<void(uint16_t, const espMqttClientTypes::SubscribeReturncode *, size_t)> callback);
  espMqttClient &onMessage(
      std::function<void(const Properties &, const char *, const uint8_t *, size_t, size_t, size_t)> callback);
  espMqttClient &onPublish(std::function<void(uint16_t)> callback);
  bool connect();
  bool disconnected() const { return socket_ < 0; }
  uint16_t subscribe(const char *topic, uint8_t qos);
  uint16_t publish(const char *topic, uint8_t qos, bool isRetained, const char *payload);
  void loop();

 private:
  void close();
  bool send(uint8_t first, const std::string &body);
  bool take();
  void handle(uint8_t first, const std::string &body);
  void handlePublish(uint8_t first, const std::string &body);
  uint16_t nextId();

  std::string host_, user_, password_, id_, received_;
  uint16_t port_ = 0, keepAlive_ = 0, lastId_ = 0;
  bool isClean_ = true, isConnected_ = false;
  int socket_ = -1;
  int64_t sentAt_ = 0;
  std::function<void(bool)> onConnect_;
  std::function<void(espMqttClientTypes::DisconnectReason)> onDisconnect_;
  std::function<void(uint16_t, const espMqttClientTypes::SubscribeReturncode *, size_t)> onSubscribe_;
  std::function<void(const Properties &, const char *, const uint8_t *, size_t, size_t, size_t)> onMessage_;
  std::function<void(uint16_t)> onPublish_;
};

/* Compiled only: TLS is the real library's. */
class espMqttClientSecure : public espMqttClient {
 public:
  using espMqttClient::espMqttClient;
  espMqttClientSecure &setCACert(const char *pem) {
    (void)pem;
    return *this;
  }
};
