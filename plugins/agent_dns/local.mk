# agent_dns
