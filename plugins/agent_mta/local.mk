# agent_mta
