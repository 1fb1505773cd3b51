include $(sort $(wildcard $(BR2_EXTERNAL_NETTY_PATH)/package/*/*.mk))
