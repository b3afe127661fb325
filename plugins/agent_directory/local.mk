# agent_directory
